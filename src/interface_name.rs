//! The names that an interface can have.

/// Bytes of a name: `IFNAMSIZ` without its NUL (linux/if.h).
const LONGEST: usize = 15;

/// Whether a text can be the name of an interface (`dev_valid_name` in the kernel's net/core/dev.c).
///
/// # Errors
///
/// It cannot; the text continues a sentence that begins with the name.
pub fn check(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c != '/' && c != ':' && !c.is_whitespace() && !c.is_control();
    let fits = (1..=LONGEST).contains(&name.len());
    if fits && name != "." && name != ".." && name.chars().all(plain) {
        Ok(())
    } else {
        Err("is not the name of an interface (1 to 15 bytes, no '/', ':' or white space)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_kernel_would_take() {
        for name in ["eth0", "enp0s31f6.4094", "länge", "x", "..."] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a/b", "eth0:1", "a b", "a\tb", "a\0", "1234567890123456"] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
