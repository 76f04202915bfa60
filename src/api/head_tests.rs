use super::*;

/// For an agent that is called `h`, as most requests here call it.
fn parse(input: &[u8]) -> Result<Progress, Reply> {
    super::parse(input, &Names::new(["h".to_owned()], false))
}

fn head(text: &str) -> Head {
    match parse(text.as_bytes()) {
        Ok(Progress::Complete(head)) => head,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn refusal(input: &[u8]) -> Option<u16> {
    parse(input).err().map(|reply| reply.status)
}

#[test]
fn only_method_path_credentials_and_length_reach_the_server() {
    let text = "POST http://h:1313/ips?x=1 HTTP/1.1\r\nhost: h\r\nCookie: a\r\n\
        X-Forwarded-For: b\r\nauthorization: Basic YTpi\r\ncontent-length: 7\r\n\r\n{}";
    let head = head(text);
    let canonical = "POST /ips?x=1 HTTP/1.1\r\nHost: link\r\n\
        Authorization: Basic YTpi\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(String::from_utf8(head.canonical).unwrap(), canonical);
    assert_eq!((head.size, head.body), (text.len() - 2, 7));
    assert!(head.waits && head.takes_body && head.framing.keep_alive);
}

#[test]
fn head_is_get_whose_body_is_left_out() {
    let head = head("HEAD /ips HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(head.canonical.starts_with(b"GET /ips HTTP/1.1\r\n"));
    assert!(head.framing.head_only && !head.waits);
}

#[test]
fn the_body_of_a_get_is_dropped() {
    let head = head("GET /ips HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((head.body, head.takes_body), (5, false));
    assert_eq!(head.canonical, b"GET /ips HTTP/1.1\r\nHost: link\r\n\r\n");
}

#[test]
fn credentials_that_are_not_ascii_are_no_credentials() {
    let head = head("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic é\r\n\r\n");
    assert_eq!(head.canonical, b"GET / HTTP/1.1\r\nHost: link\r\n\r\n");
}

#[test]
fn a_connection_is_kept_only_when_both_sides_know_where_the_request_ends() {
    for (kept, text) in [
        (true, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (true, "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, closed\r\n\r\n"),
        (true, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
        (false, "POST / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (false, "GET / HTTP/1.0\r\n\r\n"),
        (false, "GET / HTTP/1.1\r\nHost: h\r\nConnection: TE, Close\r\n\r\n"),
    ] {
        assert_eq!(head(text).framing.keep_alive, kept, "{text:?}");
    }
}

#[test]
fn a_continue_is_owed_only_for_a_body_and_only_in_1_1() {
    for (owed, text) in [
        (true, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
        (false, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
        (false, "PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
    ] {
        assert_eq!(head(text).expects_continue, owed, "{text:?}");
    }
}

#[test]
fn what_is_wrong_has_its_code() {
    let cases: &[(u16, &str)] = &[
        (400, "\x16\x03\x01\x02\x00\x01\x00"),
        (400, "GET / HTTP/1.1\nHost: h\n\n"),
        (400, "GET / HTTP/1.1\r\nHost: h\n\r\n"),
        (400, "GET /\r\n\r\n"),
        (400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nOrigin: http://h\r\n\r\n"),
        (403, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        (403, "GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n"),
        (403, "GET http://evil.example/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        (403, "GET http://h/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        (403, "POST / HTTP/1.1\r\nHost: h\r\nOrigin: null\r\nContent-Length: 100000\r\n\r\n"),
        (403, "PUT / HTTP/1.1\r\nHost: h\r\nSEC-FETCH-SITE: cross-site\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n"),
        (400, "GET ips HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET ftp://h/ips HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n"),
        (411, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (411, "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n"),
        (413, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n"),
        (413, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000000000\r\n\r\n"),
        (413, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        (417, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\n"),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (505, "GET / HTTP/3.7\r\nHost: h\r\n\r\n"),
        (505, "\r\nGET / HTTP/0.9\r\n\r\n"),
    ];
    for (status, text) in cases {
        assert_eq!(refusal(text.as_bytes()), Some(*status), "{text:?}");
    }
}

#[test]
fn a_head_has_16_kib_and_64_fields() {
    let padded = |size: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n";
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(size - frame.len()))
    };
    assert_eq!(head(&padded(MAX_HEAD)).size, MAX_HEAD);
    assert_eq!(refusal(padded(MAX_HEAD + 1).as_bytes()), Some(431));
    assert_eq!(refusal(&vec![b'a'; MAX_HEAD + 1]), Some(431));
    assert_eq!(parse(&vec![b'a'; MAX_HEAD]), Ok(Progress::Partial));
    let fields = |count| format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(refusal(fields(64).as_bytes()), None);
    assert_eq!(refusal(fields(65).as_bytes()), Some(431));
}

/// What is decided early, on the first bytes, must be what the whole head would have given.
#[test]
fn how_the_bytes_are_cut_changes_nothing() {
    for text in [
        "GET /ips HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\nPOST /ips HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTX/1.1\r\n\r\n",
    ] {
        let whole = parse(text.as_bytes());
        let cut = (0..=text.len())
            .map(|end| parse(&text.as_bytes()[..end]))
            .find(|progress| *progress != Ok(Progress::Partial));
        assert_eq!(cut, Some(whole), "{text:?}");
    }
}

/// A fixed seed, so that a failure can be repeated.
#[test]
fn no_bytes_make_it_panic_or_pass_on_a_line_of_their_own() {
    let seeds = [
        "POST /ips HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YTpi\r\nContent-Length: 9\r\n\r\n",
        "GET http://h/ips/x HTTP/1.0\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n",
    ];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % bound as u64).unwrap()
    };
    for round in 0..20_000 {
        let mut bytes = seeds[round % 2].as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            bytes[at] = [0, b'\r', b'\n', b' ', b':', 0xff, b'9', b'/'][next(8)];
        }
        let Ok(Progress::Complete(head)) = parse(&bytes) else {
            continue;
        };
        assert!(head.size <= bytes.len() && head.body <= route::LARGEST_BODY);
        let text = String::from_utf8(head.canonical).unwrap();
        assert!(text.is_ascii() && text.ends_with("\r\n\r\n"));
        assert!(text.split("\r\n").count() <= 6, "{text:?}");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    }
}
