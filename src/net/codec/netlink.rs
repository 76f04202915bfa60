//! The netlink wire format (`linux/netlink.h`): headers, attributes, acknowledgements.
//!
//! A pure codec over bytes that nobody vouches for: reading never panics and always ends. Public
//! for the fuzzer and for nobody else.

/// `NLM_F_REQUEST`: a request to the kernel.
pub const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: an acknowledgement is wanted.
pub const ACK: u16 = 0x4;
/// `NLM_F_DUMP_INTR`: what is dumped changed meanwhile, so the dump may have gaps.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_DUMP`: all objects, not one.
pub const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`: change the object that exists.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`: fail when the object exists.
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`: make the object when it does not exist.
pub const CREATE: u16 = 0x400;
/// `NLM_F_CAPPED`, in an acknowledgement: the request's payload is left out.
pub const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`, in an acknowledgement: attributes follow.
pub const ACK_ATTRIBUTES: u16 = 0x200;

/// `NLMSG_ERROR`: an acknowledgement, of success too.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const DONE: u16 = 3;

/// `NLMSGERR_ATTR_MSG`: why, in words.
const ERROR_TEXT: u16 = 1;
/// `NLA_F_NESTED`: the value consists of attributes.
const NESTED: u16 = 0x8000;
/// `NLA_TYPE_MASK`: the type without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const TYPE_MASK: u16 = 0x3fff;
/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The length of `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: the number of the request that it answers.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// A message whose length contradicts the datagram's; what follows it cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 0, or the errno as a positive number.
    pub errno: i32,
    /// What the kernel has to say about it (`NETLINK_EXT_ACK`).
    pub text: Option<String>,
}

/// The type and the value of an attribute.
type Attribute<'a> = (u16, &'a [u8]);

/// The messages of a datagram; the last item is an error if the datagram is malformed.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = split_message(rest);
        rest = next.map_or(&[], |(_, after)| after);
        Some(next.map(|(message, _)| message).ok_or(Malformed))
    })
}

/// The attributes of a payload, as (type, value); reading ends at the first malformed one.
pub fn attributes(payload: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let (attribute, after) = split_attribute(rest)?;
        rest = after;
        Some(attribute)
    })
}

/// The value of the first attribute of this type.
pub fn find(payload: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(payload).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// What an acknowledgement or the end of a dump says; none for other messages.
pub fn outcome(message: &Message<'_>) -> Option<Outcome> {
    match message.kind {
        DONE => Some(Outcome { errno: error_number(message.payload).unwrap_or(0), text: None }),
        ERROR => Some(Outcome { errno: error_number(message.payload)?, text: error_text(message) }),
        _ => None,
    }
}

/// A number in the host's byte order from the start of some bytes.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*field))
}

/// As [`u32_at`], of two bytes.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let field = bytes.get(offset..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*field))
}

/// A message in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// Starts a request with the fixed part of its payload.
    pub fn new(kind: u16, flags: u16, sequence: u32, fixed: &[u8]) -> Builder {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend([0; 4]); // the length, known at the end
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]); // the port, which the kernel knows
        bytes.extend(fixed);
        Builder { bytes }
    }

    /// Appends an attribute.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Builder {
        self.pad();
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len())
            .expect("an attribute of ours is shorter than 64 KiB");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self
    }

    /// Appends an attribute inside others; `kinds` names them from the outermost to the innermost.
    #[must_use]
    pub fn nested(self, kinds: &[u16], value: &[u8]) -> Builder {
        match kinds {
            [] => self,
            [kind] => self.attribute(*kind, value),
            [outer, inner @ ..] => {
                let empty = Builder { bytes: Vec::new() };
                let inside = empty.nested(inner, value).bytes;
                self.attribute(*outer | NESTED, &inside)
            }
        }
    }

    /// The message, ready to be sent.
    pub fn finish(mut self) -> Vec<u8> {
        self.pad();
        let length = u32::try_from(self.bytes.len()).expect("a message of ours is short");
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

fn split_message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let message = Message {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        sequence: u32_at(bytes, 8)?,
        payload: bytes.get(HEADER..length)?,
    };
    Some((message, bytes.get(align(length)..).unwrap_or(&[])))
}

fn split_attribute(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let length = usize::from(u16_at(bytes, 0)?);
    let kind = u16_at(bytes, 2)? & TYPE_MASK;
    let value = bytes.get(ATTRIBUTE_HEADER..length)?;
    Some(((kind, value), bytes.get(align(length)..).unwrap_or(&[])))
}

/// The kernel writes an errno as a negative number.
fn error_number(payload: &[u8]) -> Option<i32> {
    let field = payload.first_chunk()?;
    Some(i32::from_ne_bytes(*field).saturating_neg())
}

/// The text follows the request's header, and its payload unless that is left out.
fn error_text(message: &Message<'_>) -> Option<String> {
    if message.flags & ACK_ATTRIBUTES == 0 {
        return None;
    }
    let request = message.payload.get(4..)?;
    let length = if message.flags & CAPPED == 0 {
        usize::try_from(u32_at(request, 0)?).ok()?.max(HEADER)
    } else {
        HEADER
    };
    let text = find(request.get(align(length)..)?, ERROR_TEXT)?;
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Messages and attributes start at multiples of four (`NLMSG_ALIGNTO`, `NLA_ALIGNTO`).
fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_and_read_as_the_header_file_says() {
        let bytes = [
            0x20, 0, 0, 0, // length 32
            20, 0, // RTM_NEWADDR
            0x05, 0, // REQUEST | ACK
            7, 0, 0, 0, // sequence
            0, 0, 0, 0, // port
            0xaa, 0xbb, 0xcc, 0xdd, // fixed part
            5, 0, 3, 0, b'x', 0, 0, 0, // attribute 3: one byte and padding
            4, 0, 9, 0, // attribute 9: empty
        ];
        let fixed = [0xaa, 0xbb, 0xcc, 0xdd];
        let built = Builder::new(20, ACK, 7, &fixed).attribute(3, b"x").attribute(9, b"");
        assert_eq!(built.finish(), bytes);

        let read: Vec<_> = messages(&bytes).collect();
        let payload = &bytes[16..];
        assert_eq!(read, [Ok(Message { kind: 20, flags: REQUEST | ACK, sequence: 7, payload })]);
        let read: Vec<_> = attributes(&payload[4..]).collect();
        assert_eq!(read, [(3, &b"x"[..]), (9, &b""[..])]);
    }

    #[test]
    fn attributes_nest() {
        let built = Builder { bytes: Vec::new() }.nested(&[26, 2, 1, 20], &1u32.to_ne_bytes());
        let bytes = [20, 0, 26, 0x80, 16, 0, 2, 0x80, 12, 0, 1, 0x80, 8, 0, 20, 0, 1, 0, 0, 0];
        assert_eq!(built.bytes, bytes);
        let inner = find(find(find(&bytes, 26).unwrap(), 2).unwrap(), 1).unwrap();
        assert_eq!(find(inner, 20), Some(&[1, 0, 0, 0][..]));
    }

    #[test]
    fn an_acknowledgement_carries_errno_and_the_kernels_words() {
        let mut payload = (-13i32).to_ne_bytes().to_vec();
        payload.extend([16, 0, 0, 0, 20, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        payload.extend([9, 0, 1, 0, b'n', b'o', b'p', b'e', 0]);
        let flags = CAPPED | ACK_ATTRIBUTES;
        let refused = Message { kind: ERROR, flags, sequence: 1, payload: &payload };
        let expected = Outcome { errno: 13, text: Some("nope".to_owned()) };
        assert_eq!(outcome(&refused), Some(expected.clone()));

        // Not capped, the request's own payload stands between.
        payload[4] = 20;
        payload.splice(20..20, [1, 2, 3, 4]);
        let refused =
            Message { kind: ERROR, flags: ACK_ATTRIBUTES, sequence: 1, payload: &payload };
        assert_eq!(outcome(&refused), Some(expected));

        let done = Message { kind: ERROR, flags: 0, sequence: 1, payload: &[0; 20] };
        assert_eq!(outcome(&done), Some(Outcome { errno: 0, text: None }));
    }

    #[test]
    fn a_length_that_lies_ends_the_reading() {
        for length in [0u32, 1, 15, 33, u32::MAX - 1, u32::MAX] {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let read: Vec<_> = messages(&bytes).collect();
            assert_eq!(read, [Err(Malformed)], "length {length}");
        }
        for length in [0u16, 1, 3, 9, u16::MAX] {
            let mut bytes = [0; 8];
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(attributes(&bytes).count(), 0, "length {length}");
        }
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_read_without_panic() {
        let good = Builder::new(20, ACK, 7, &[0; 8]).attribute(1, &[1; 4]).attribute(2, b"abc");
        let good = good.finish();
        for end in 0..good.len() {
            assert!(messages(&good[..end]).all(|message| message.is_err()), "cut at {end}");
        }
        for position in 0..good.len() {
            for value in 0..=u8::MAX {
                let mut bytes = good.clone();
                bytes[position] = value;
                for message in messages(&bytes).flatten() {
                    outcome(&message);
                    assert!(attributes(message.payload).count() <= message.payload.len() / 4);
                }
            }
        }
    }
}
