//! Whom a host that monitors asks, and when.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use link::net::ManagedAddress;
use link::net::codec::ethernet::Mac;
use link::net::codec::{arp, ndp};

use super::{BOTH, NOTHING, PRESENT, TIMING, every, monitor, monitor_present, question};
use crate::capture::Capture;
use crate::lab::{Managed, cidr, ip, mac, run, settle};
use crate::neighbour::{Neighbour, ip_there, speak};

/// The time and the destination of each question that is captured within a time.
fn questions(capture: &Capture, text: &str, wait: Duration) -> Vec<(SystemTime, Vec<u8>)> {
    let (deadline, all) = (Instant::now() + wait, question(text, None));
    let frames = std::iter::from_fn(|| capture.frames.recv_deadline(deadline).ok());
    let asked = frames.filter(|(_, frame)| frame.get(6..) == Some(&all[6..]));
    asked.map(|(time, frame)| (time, frame[..6].to_vec())).collect()
}

#[test]
fn all_are_asked_once_a_second_until_one_answers_and_then_that_one_alone() {
    for text in BOTH {
        run(move || {
            let neighbour = Neighbour::start();
            let capture = neighbour.run(|| Capture::on("v1"));
            let owner = neighbour.run(|| mac("v1"));
            let vip = monitor(text, TIMING);
            let asked = questions(&capture, text, Duration::from_millis(1500));
            let all = question(text, None)[..6].to_vec();
            assert!((1..=2).contains(&asked.len()), "{asked:?}");
            assert!(asked.iter().all(|(_, whom)| *whom == all), "{asked:?}");
            ip_there(&neighbour, "add", text);
            vip.expect(PRESENT);
            capture.await_frame(&question(text, Some(owner)));
            let asked = questions(&capture, text, Duration::from_secs(1));
            assert_ne!(asked, []);
            assert!(asked.iter().all(|(_, whom)| *whom == owner), "{asked:?}");
            assert_eq!(vip.reports.try_recv().ok(), None);
        });
    }
}

#[test]
fn questions_leave_at_their_interval_and_never_more_often() {
    run(|| {
        let interval = Duration::from_millis(10);
        let neighbour = Neighbour::start();
        let capture = neighbour.run(|| Capture::on("v1"));
        let _vip = monitor_present(&neighbour, "10.0.0.1/32", every(10, 3));
        // The first two are still those for all, and for the host that has answered.
        let asked = questions(&capture, "10.0.0.1/32", Duration::from_secs(2)).split_off(2);
        let gap = |pair: &[(SystemTime, _)]| pair[1].0.duration_since(pair[0].0).unwrap();
        let gaps: Vec<_> = asked.windows(2).map(gap).collect();
        // The machine may be busy, and the first of them late.
        let most = gaps.iter().sum::<Duration>().as_millis() / interval.as_millis() + 5;
        assert!((10..=most).contains(&(gaps.len() as u128)), "{gaps:?}");
        let precise = |gap: &&Duration| gap.abs_diff(interval) < Duration::from_micros(500);
        assert!(gaps.iter().any(|gap| precise(&gap)), "{gaps:?}");
    });
}

#[test]
fn a_new_hardware_address_is_followed() {
    const NEW: Mac = [0x02, 0, 0, 0, 0, 0x2a];
    for text in BOTH {
        run(move || {
            let neighbour = Neighbour::start();
            let capture = neighbour.run(|| Capture::on("v1"));
            let vip = monitor_present(&neighbour, text, TIMING);
            capture.await_frame(&question(text, Some(neighbour.run(|| mac("v1")))));
            // It says nothing of that: the last question before silence finds it out.
            neighbour.run(|| ip("link set v1 address 02:00:00:00:00:2a"));
            capture.await_frame(&question(text, Some(NEW)));
            assert_eq!(vip.reports.try_recv().ok(), None);
            // Another host takes the address over, and announces it.
            let other = [0x02, 0, 0, 0, 0, 0x2b];
            ip_there(&neighbour, "del", text);
            let announcement = match cidr(text).addr() {
                IpAddr::V4(ip) => arp::announcement(ip, other).to_vec(),
                IpAddr::V6(ip) => vec![ndp::announcement(ip, other, false)],
            };
            neighbour.run(move || speak("v1", &announcement));
            capture.await_frame(&question(text, Some(other)));
        });
    }
}

#[test]
fn nobody_is_asked_who_is_monitored_no_more() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = monitor("10.0.0.1/32", TIMING);
        let Managed { address, client, .. } = vip;
        let asked = |wait| questions(&capture, "10.0.0.1/32", wait);
        let mut address = Some(address);
        let stops: [fn(&mut Option<ManagedAddress>); 2] =
            [|address| address.as_ref().unwrap().monitor(None), |address| *address = None];
        for stop in stops {
            address.as_ref().unwrap().monitor(Some(TIMING));
            assert_ne!(asked(Duration::from_millis(300)), []);
            stop(&mut address);
            settle(&client);
            asked(Duration::from_millis(50));
            assert_eq!(asked(NOTHING), []);
        }
    });
}
