use super::*;

fn key(n: u8) -> SecretKey {
    SecretKey::generate([n; 32])
}

#[test]
fn a_signature_is_good_for_its_key_domain_and_message_alone() {
    let (ours, other) = (key(1), key(2));
    let signature = ours.sign(Domain::Release, b"message");
    let public = ours.public();
    assert!(public.is_signature(Domain::Release, b"message", &signature));
    assert!(!public.is_signature(Domain::Release, b"messagE", &signature));
    assert!(!other.public().is_signature(Domain::Release, b"message", &signature));
    for domain in Domain::ALL.into_iter().filter(|domain| *domain != Domain::Release) {
        assert!(!public.is_signature(domain, b"message", &signature), "{}", domain.name());
    }
    for bit in 0..512 {
        let mut bad = signature;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!public.is_signature(Domain::Release, b"message", &bad), "bit {bit}");
    }
}

#[test]
fn the_signature_is_ed25519_over_domain_and_message() {
    // RFC 8032, 7.1, TEST 1: the key whose signature over nothing is known.
    let secret = unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let key = SecretKey::generate(secret.expect("it is hexadecimal"));
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(key.public().to_string(), format!("tidegate-pub:{public}"));
    assert_eq!(Domain::Trust.signed(b"x"), b"tidegate trust 1\0x");
    let direct = key.0.sign(b"tidegate trust 1\0x").to_bytes();
    assert_eq!(key.sign(Domain::Trust, b"x"), direct);
}

#[test]
fn no_domain_begins_with_another() {
    for one in Domain::ALL {
        assert!(one.bytes().ends_with(b"\0"));
        for other in Domain::ALL {
            assert_eq!(one.bytes().starts_with(other.bytes()), one == other);
        }
    }
}

#[test]
fn keys_for_which_anybody_can_sign_are_refused() {
    // The neutral element, and a point of order 2.
    let mut one = [0; 32];
    one[0] = 1;
    let mut two = [0xff; 32];
    (two[0], two[31]) = (0xec, 0x7f);
    for weak in [one, two, [0; 32]] {
        assert_eq!(PublicKey::from_bytes(&weak), Err(NoPublicKey::Weak));
    }
    let no_point =
        (0..=255).map(|n| [n; 32]).find(|bytes| VerifyingKey::from_bytes(bytes).is_err());
    let no_point = no_point.expect("half of all bytes are no point");
    assert_eq!(PublicKey::from_bytes(&no_point), Err(NoPublicKey::NoPoint));
}

#[test]
fn a_key_id_is_the_beginning_of_the_digest() {
    let public = key(3).public();
    let digest = digest_of(&public.to_bytes()).to_string();
    assert_eq!(public.id().to_string(), digest[..16]);
    assert_eq!(digest[..16].parse(), Ok(public.id()));
    for bad in ["", &digest[..15], &digest[..17], "zzzzzzzzzzzzzzzz"] {
        assert_eq!(bad.parse::<KeyId>(), Err(NoKeyId));
    }
}

#[test]
fn files_are_read_back_and_each_says_what_it_is() {
    let secret = key(4);
    let (plain, public) = (secret.to_plain_file(), secret.public().to_file());
    let Ok(KeyFile::Plain(read)) = KeyFile::parse(&plain) else {
        panic!("it lies open: {:?}", *plain);
    };
    assert_eq!(read.id(), secret.id());
    assert_eq!(parse_public(&public), Ok(secret.public()));
    assert_eq!(secret.public().to_string().parse(), Ok(secret.public()));
    let error = |text: &str| KeyFile::parse(text).err();
    assert_eq!(error(&public), Some(KeyError::IsPublic));
    assert_eq!(parse_public(&plain), Err(KeyError::IsSecret));
    assert_eq!(parse_public("tidegate-encrypted:4:x"), Err(KeyError::IsSecret));
    let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n";
    for (text, expect) in [
        ("", KeyError::NoKey),
        ("# only a comment\n", KeyError::NoKey),
        ("hello", KeyError::NoKey),
        (pem, KeyError::IsForeign),
        ("ssh-ed25519 AAAA", KeyError::IsForeign),
        (&"#".repeat(4097), KeyError::TooLong(4097)),
    ] {
        assert_eq!(error(text), Some(expect), "{text:.20}");
        assert_eq!(parse_public(text), Err(expect), "{text:.20}");
    }
    assert_eq!(error(&plain.repeat(2)), Some(KeyError::Several));
    assert_eq!(error(&plain[..plain.len() - 3]), Some(KeyError::Damaged));
    assert_eq!(error("tidegate-secret:"), Some(KeyError::Damaged));
    for bad in ["", "4", "4:00", "04:00:00:00", "x:00:00:00"] {
        assert_eq!(error(&format!("tidegate-encrypted:{bad}")), Some(KeyError::Damaged), "{bad}");
    }
    assert_eq!(parse_public("tidegate-pub:00"), Err(KeyError::Damaged));
    let weak = format!("tidegate-pub:01{}", "00".repeat(31));
    assert_eq!(parse_public(&weak), Err(KeyError::Public(NoPublicKey::Weak)));
}

#[test]
fn a_secret_key_is_not_shown() {
    let shown = format!("{:?} {:?}", key(5), KeyFile::Plain(key(5)));
    assert_eq!(shown, "SecretKey(..) Plain(SecretKey(..))");
}
