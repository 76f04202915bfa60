//! How a hook is told: by a command, or over HTTP.

use std::time::{Duration, Instant, SystemTime};

use super::queue::{Item, Outcome};
use super::settings::{CommandPath, WebhookSettings};
use super::signature::signature;
use crate::checks::{Exec, Web};
use crate::secret::Secret;

/// The way to one hook.
pub(super) enum Means {
    Command(Exec),
    Webhook(Box<Web>, Option<Secret>),
}

impl Means {
    pub(super) fn command(path: CommandPath) -> Means {
        Means::Command(Exec::new(Some(path.folder), path.name))
    }

    pub(super) fn webhook(settings: WebhookSettings) -> Means {
        Means::Webhook(Box::new(Web::new(settings.url, settings.trust)), settings.secret)
    }

    /// Tells it once.
    pub(super) fn deliver(&mut self, item: &Item, until: Instant) -> Outcome {
        match self {
            Means::Command(exec) => run(exec, item, until),
            Means::Webhook(web, secret) => {
                let request = request(web, secret.as_ref(), item);
                match web.ask(request.as_bytes(), until) {
                    Ok(status) => outcome_of(status),
                    Err(error) => Outcome::NotThere(error.to_string()),
                }
            }
        }
    }
}

/// What was started is not repeated, however it ends: nobody knows what it has done.
fn run(exec: &mut Exec, item: &Item, until: Instant) -> Outcome {
    exec.args = item.notification.args();
    exec.env = item.notification.env(item.missed);
    let running = match exec.start(until) {
        Ok(running) => running,
        Err(error) => return Outcome::NotThere(format!("not run: {error}")),
    };
    match exec.finish(running, until) {
        Ok(()) => Outcome::Delivered,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// What a status says (RFC 9110, 15): which of them are about the receiver, and which about what it was told.
fn outcome_of(status: u16) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        300..=399 => Outcome::Refused(format!("status {status}: redirects are not followed")),
        408 | 425 | 429 | 500..=599 => Outcome::NotThere(format!("status {status}")),
        _ => Outcome::Refused(format!("status {status}")),
    }
}

fn request(web: &Web, secret: Option<&Secret>, item: &Item) -> String {
    let (notification, url) = (&item.notification, web.url());
    let body = notification.body(item.missed);
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: linkd/{}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\
         X-Link-Webhook-Resource-ID: {}\r\nX-Link-Webhook-Event-ID: {}\r\nX-Link-Webhook-Sequence: {}\r\n",
        url.target(),
        url.authority(),
        env!("CARGO_PKG_VERSION"),
        body.len(),
        notification.ip(),
        notification.event_id(),
        notification.sequence,
    );
    if let Some(secret) = secret {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let timestamp = since.unwrap_or(Duration::ZERO).as_secs();
        request.push_str(&format!(
            "X-Link-Webhook-Timestamp: {timestamp}\r\nX-Link-Webhook-Signature: {}\r\n",
            signature(secret, timestamp, &body)
        ));
    }
    request.push_str("\r\n");
    request.push_str(&body);
    request
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::notification::tests::notification;
    use super::*;
    use crate::vip::Trust;

    #[test]
    fn a_request_is_signed_over_what_is_sent() {
        let web = Web::new("http://hook:81/a?b=c".parse().unwrap(), Trust::System);
        let item = Item { notification: Arc::new(notification("10.0.0.1", 7)), missed: 1 };
        let secret = Secret::new("s");
        let signed = request(&web, Some(&secret), &item);
        let (head, body) = signed.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\nHost: hook:81\r\n"), "{head}");
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("{name} is not in {head}")).to_owned()
        };
        assert_eq!(field("Content-Length"), body.len().to_string());
        assert_eq!(body, item.notification.body(1));
        assert_eq!(field("X-Link-Webhook-Resource-ID"), "10.0.0.1/32");
        assert_eq!(field("X-Link-Webhook-Event-ID"), "h-7-10.0.0.1_32");
        assert_eq!(field("X-Link-Webhook-Sequence"), "7");
        let timestamp: u64 = field("X-Link-Webhook-Timestamp").parse().unwrap();
        assert!(timestamp > 1_700_000_000);
        assert_eq!(field("X-Link-Webhook-Signature"), signature(&secret, timestamp, body));
        let unsigned = request(&web, None, &item);
        assert!(!unsigned.contains("Signature") && !unsigned.contains("Timestamp"), "{unsigned}");
    }

    #[test]
    fn a_status_tells_whether_to_come_again() {
        for (statuses, expected) in [
            (&[200, 202, 204, 299][..], "Delivered"),
            (&[301, 302, 307, 308], "Refused"),
            (&[400, 401, 404, 410, 101], "Refused"),
            (&[408, 425, 429, 500, 502, 503], "NotThere"),
        ] {
            for status in statuses {
                let outcome = format!("{:?}", outcome_of(*status));
                assert!(outcome.starts_with(expected), "{status}: {outcome}");
            }
        }
    }
}
