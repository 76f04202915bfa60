//! A hook with a server that answers as it is told.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::notification::tests::notification;
use super::*;
use crate::vip::Trust;

const PATIENCE: Duration = Duration::from_secs(30);

/// Hooks that tell this server.
fn hooks_of(server: &TcpListener, timeout: Duration) -> Hooks {
    let url = format!("http://{}/", server.local_addr().unwrap()).parse().unwrap();
    let webhook = Some(WebhookSettings { url, secret: None, trust: Trust::System });
    Hooks::start(Settings { command: None, webhook, timeout }).unwrap()
}

/// The sequence of the next request, which is answered with this status.
fn answered(server: &TcpListener, status: u16) -> u64 {
    let (mut stream, _) = server.accept().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut bytes = [0; 1000];
        let length = stream.read(&mut bytes).unwrap();
        assert!(length > 0, "the request has an end");
        request.extend_from_slice(&bytes[..length]);
    }
    write!(stream, "HTTP/1.1 {status} X\r\n\r\n").unwrap();
    let request = String::from_utf8(request).unwrap();
    let sequence = request.lines().find_map(|it| it.strip_prefix("X-Link-Webhook-Sequence: "));
    sequence.unwrap().parse().unwrap()
}

/// Takes the next report.
fn take(hooks: &mut Hooks) -> Vec<String> {
    let report = hooks.reports().recv_timeout(PATIENCE).unwrap();
    texts(hooks.take(report))
}

fn texts(news: News) -> Vec<String> {
    news.into_iter().map(|(_, happening)| happening.to_string()).collect()
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn one_is_under_way_at_a_time_and_what_came_of_it_is_counted() {
    let server = listener();
    let mut hooks = hooks_of(&server, PATIENCE);
    for sequence in 1..=3 {
        assert!(hooks.tell(&notification("10.0.0.1", sequence)).is_empty());
    }
    assert_eq!(hooks.counts()[0].queued, 3);
    for sequence in 1..=3 {
        assert_eq!(answered(&server, 200), sequence);
        assert!(take(&mut hooks).is_empty());
    }
    let expected = HookCounts { hook: "NOTIFY_URL", delivered: 3, ..HookCounts::default() };
    assert_eq!(hooks.counts(), [expected]);
}

#[test]
fn a_receiver_that_fails_is_told_the_same_again_and_that_is_said_once() {
    let server = listener();
    let mut hooks = hooks_of(&server, PATIENCE);
    hooks.tell(&notification("10.0.0.1", 1));
    hooks.tell(&notification("10.0.0.1", 2));
    assert_eq!(answered(&server, 503), 1);
    let said = take(&mut hooks);
    let expected = "NOTIFY_URL cannot be told, and is tried again: 10.0.0.1/32 ACTIVATED (elected): status 503";
    assert_eq!(said, [expected]);
    // Refused, and there is a newer one.
    assert_eq!(answered(&server, 302), 1);
    let said = take(&mut hooks);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("NOTIFY_URL is not told everything"), "{said:?}");
    hooks.hooks[0].worker.hurry();
    assert_eq!(answered(&server, 200), 2);
    assert_eq!(take(&mut hooks), ["NOTIFY_URL works again: 10.0.0.1/32 ACTIVATED (elected)"]);
    let counts = hooks.counts()[0].clone();
    assert_eq!((counts.delivered, counts.failed, counts.dropped, counts.queued), (1, 2, 1, 0));
}

#[test]
fn what_waits_is_delivered_at_the_end_and_what_is_not_is_told() {
    let server = listener();
    let mut hooks = hooks_of(&server, PATIENCE);
    for sequence in 1..=3 {
        hooks.tell(&notification("10.0.0.1", sequence));
    }
    let serving = std::thread::spawn(move || {
        let told = [answered(&server, 200), answered(&server, 200), answered(&server, 500)];
        (told, server)
    });
    let said = texts(hooks.finish(Instant::now() + PATIENCE));
    let (told, server) = serving.join().unwrap();
    assert_eq!(told, [1, 2, 3]);
    assert!(said[0].contains("status 500"), "{said:?}");
    assert!(said[1].starts_with("NOTIFY_URL was not told everything: 1 notifications"), "{said:?}");

    // It accepts, and says nothing.
    let mut hooks = hooks_of(&server, PATIENCE);
    hooks.tell(&notification("10.0.0.1", 1));
    hooks.tell(&notification("10.0.0.1", 2));
    let begin = Instant::now();
    let said = texts(hooks.finish(begin + Duration::from_millis(100)));
    assert!(begin.elapsed() < PATIENCE);
    assert!(said[0].starts_with("NOTIFY_URL was not told everything: 2 notifications"), "{said:?}");
}

#[test]
fn without_hooks_nothing_is_started_and_nothing_waits() {
    let mut hooks = Hooks::start(Settings::none()).unwrap();
    assert!(hooks.is_empty() && hooks.counts().is_empty());
    assert!(hooks.finish(Instant::now() + PATIENCE).is_empty());
}

#[test]
fn a_server_that_is_not_there_is_told_when_it_is() {
    let server = listener();
    let address = server.local_addr().unwrap();
    let mut hooks = hooks_of(&server, PATIENCE);
    drop(server);
    hooks.tell(&notification("10.0.0.1", 1));
    assert!(take(&mut hooks)[0].contains("refused"));
    let server = TcpListener::bind(address).unwrap();
    assert_eq!(answered(&server, 204), 1);
    assert!(take(&mut hooks)[0].contains("works again"));
}
