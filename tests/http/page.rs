//! The page, as the network sees it; what it does in a browser is in tests/page.

use crate::supervisor::{Server, oblige};

#[test]
fn the_page_comes_with_what_keeps_a_browser_to_it() {
    let server = Server::obliging();
    let mut client = server.client();
    let page = client.get("/");
    assert_eq!(page.status, 200);
    assert!(page.body.starts_with("<!doctype html>") && page.body.ends_with("</html>\n"));
    for (field, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(field), Some(value));
    }
    let policy = page.header("content-security-policy").unwrap();
    let rules: Vec<&str> = policy.split(';').map(str::trim).collect();
    for rule in [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(rules.contains(&rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    let head = client.ask("HEAD", "/", "", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), page.header("content-length"));
    assert!(server.commands.is_empty(), "nobody was asked for it");
}

#[test]
fn with_a_password_a_browser_is_told_to_ask_for_it() {
    let server = Server::start(Some("s3cret"), |command| Some(Ok(oblige(&command))));
    let mut client = server.client();
    let answer = client.get("/");
    let challenge = answer.header("www-authenticate");
    assert_eq!((answer.status, challenge), (401, Some("Basic realm=\"LinK\"")));
    let right = "Authorization: Basic YWRtaW46czNjcmV0\r\n";
    assert_eq!(client.ask("GET", "/", right, "").status, 200);
}
