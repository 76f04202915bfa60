//! Questions that are repeated, because frames get lost.

use super::*;

#[test]
fn a_question_is_repeated_to_one_host_until_it_is_answered_or_the_host_is_silent() {
    let mut bench = Bench::present(MonitorTiming { doubt: Duration::from_millis(40), ..TIMING });
    let again = |times: &[u128]| times.iter().map(|time| (*time, Again(OWNER))).collect::<Vec<_>>();
    assert_eq!(bench.run_on(13), [vec![(0, One(OWNER))], again(&[5, 10])].concat());
    assert_eq!(bench.hear(OWNER), None);
    assert_eq!(bench.run_on(101), [(100, One(OWNER))]);
    let log = bench.run_on(260);
    let repeats: Vec<_> = log.iter().filter(|event| matches!(event.1, Again(_))).copied().collect();
    let times: Vec<u128> = (105..200).step_by(5).filter(|time| (time - 100) % 40 != 0).collect();
    assert_eq!(repeats, again(&times));
    assert!(log.contains(&(200, SILENT)), "{log:?}");
}

#[test]
fn nothing_is_repeated_where_questions_follow_each_other_at_once() {
    let mut bench = Bench::present(every(5, 3));
    assert!(!bench.run_on(100).iter().any(|(_, event)| matches!(event, Again(_))));
}

/// Milliseconds; the defaults, with which a network may pause for 200 ms.
const STRICT: MonitorTiming = MonitorTiming {
    interval: Duration::from_millis(175),
    doubt: Duration::from_millis(50),
    count: 5,
    alone: false,
};

#[test]
fn a_network_that_pauses_and_loses_one_frame_beside_that_makes_nobody_silent() {
    for pause in (0..=180).step_by(3) {
        for lost in 0..45 {
            let mut bench = Bench::present(STRICT);
            let mut asked = 0;
            for time in 1..=450 {
                for (at, event) in bench.run_on(time) {
                    assert_ne!(
                        event, SILENT,
                        "the network pauses at {pause}, question {lost} is lost"
                    );
                    if !matches!(event, Told(_)) {
                        asked += 1;
                        let heard = asked != lost + 1 && !(pause..pause + 200).contains(&at);
                        heard.then(|| bench.hear(OWNER));
                    }
                }
            }
        }
    }
}
