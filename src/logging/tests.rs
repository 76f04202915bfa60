use std::os::unix::net::UnixStream;

use super::*;

/// Takes nothing until it is told to.
struct Stuck(Receiver<()>, Vec<u8>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nobody_waits_for_an_output_that_takes_nothing_and_what_is_too_much_is_counted() {
    let (queue, reader) = queue();
    let state = Arc::clone(&queue.state);
    let (go, gate) = unbounded();
    let writer = std::thread::spawn(move || {
        let mut output = Stuck(gate, Vec::new());
        reader.write_to(&mut output);
        output.1
    });
    let line = [b'x'; 1024];
    for _ in 0..2048 {
        queue.put(line.to_vec());
    }
    assert!(state.held.load(Ordering::Relaxed) <= MOST_HELD);
    let dropped = state.dropped.load(Ordering::Relaxed);
    assert_eq!(dropped, 2048 - MOST_HELD / line.len());
    drop((go, queue));
    let written = writer.join().unwrap();
    assert_eq!(written.len(), MOST_HELD, "what was queued comes out");
    assert_eq!(state.held.load(Ordering::Relaxed), 0);
    assert_eq!(state.dropped.load(Ordering::Relaxed), 0, "it was told");
}

#[test]
fn what_cannot_be_written_is_counted_and_not_told_to_nobody() {
    let (queue, reader) = queue();
    let state = Arc::clone(&queue.state);
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    queue.put(b"a\n".to_vec());
    queue.put(b"b\n".to_vec());
    drop(queue);
    reader.write_to(&mut Patient(ours));
    assert_eq!(state.dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn an_output_that_does_not_block_is_waited_for() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let text = vec![b'x'; 4 << 20];
    let expected = text.len();
    let writer = std::thread::spawn(move || Patient(ours).write_all(&text));
    let read = io::copy(&mut theirs, &mut io::sink()).unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(usize::try_from(read).unwrap(), expected);
}

#[test]
fn a_message_stays_on_one_line_of_bounded_length() {
    let message = |text: &str| message(&Record::builder().args(format_args!("{text}")).build());
    assert_eq!(message("a\n<0>b\u{1b}[2J\u{9b}\u{202e}"), r"a\n<0>b\u{1b}[2J\u{9b}\u{202e}");
    let long = message(&"é".repeat(2 * LONGEST));
    assert_eq!(long.chars().count(), LONGEST + 1);
}

#[test]
fn a_line_has_the_time_or_for_the_journal_the_priority() {
    let message = format_args!("IP lost");
    let record = Record::builder().level(Level::Warn).args(message).build();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_251_199_042);
    assert_eq!(line(&record, false, now), "2024-02-29T23:59:59.042Z WARN  IP lost\n");
    assert_eq!(line(&record, true, now), "<4>IP lost\n");
}

#[test]
fn a_filter_that_lets_no_error_through_is_not_used() {
    let (info, odd) = (DEFAULT.to_owned(), OsStr::new("nonsense"));
    assert_eq!(filter_of(None), (info.clone(), None));
    for blank in ["", " "] {
        assert_eq!(filter_of(Some(OsStr::new(blank))), (info.clone(), None));
    }
    let (filter, complaint) = filter_of(Some(odd));
    assert!(filter == info && complaint.unwrap().starts_with("RUST_LOG=nonsense "));
    for (usable, filter) in [
        (true, "info"),
        (true, "WARN"),
        (true, "error,link::etcd=debug"),
        (true, "link"),
        (true, "link=debug, h2=info"),
        (true, "info/lease"),
        (true, "off"),
        (true, "link=off"),
        (true, "h2=,info"),
        (false, "inof"),
        (false, "nonsense=debug"),
        (false, "info,link=inof"),
        (false, "\"info\""),
        (false, "link::etcd=debug"),
        (false, "info/a/b"),
        (false, "5"),
    ] {
        assert_eq!(is_usable(filter), usable, "{filter}");
    }
}
