use proptest::prelude::*;

use super::*;

const BODY_A: &str = "{\n\t\"EventGroupId\":\t2,\n\t\"EventType\":\t204,\n\t\"CallbackTs\":\t1664209748188,\n\t\"EventInfo\":\t{\n\t\t\"RoomId\":\t8489,\n\t\t\"EventTs\":\t1664209748,\n\t\t\"EventMsTs\":\t1664209748180,\n\t\t\"UserId\":\t\"user_85034614\",\n\t\t\"Reason\":\t0\n\t}\n}";
const BODY_B: &str = "{\n\t\"EventGroupId\":\t1,\n\t\"EventType\":\t101,\n\t\"CallbackTs\":\t1608086882372,\n\t\"EventInfo\":\t{\n\t\t\"RoomId\":\t20222,\n\t\t\"EventTs\":\t1608086882,\n\t\t\"UserId\":\t\"222222_phone\"\n\t}\n}";
const BODY_C: &str = r#"{"EventGroupId":3,"EventType":301,"CallbackTs":1622186275913,"EventInfo":{"RoomId":"xx","EventTs":"1622186275","EventMsTs":1622186275757,"UserId":"xx","TaskId":"xx","Payload":{"Status":0}}}"#;
const BODY_D: &str = r#"{"EventGroupId":3,"EventType":305,"CallbackTs":1622191989674,"EventInfo":{"RoomId":"房间","EventTs":1622191989,"EventMsTs":1622191989600,"UserId":"recorder","TaskId":"t","Payload":{"Status":0}}}"#;

/// `callbacks.md` section 2: key, body, its length, signature. The row with the empty key is apart.
const VECTORS: [(&str, &str, usize, &str); 5] = [
    ("123654", BODY_A, 207, "kkoFeO3Oh2ZHnjtg8tEAQhtXK16/KI05W3BQff8IvGA="),
    ("789", BODY_B, 162, "t2Yq1R4wilV/RIMRyygkgdhxWO8dgTdXXrfNVtz7V3k="),
    ("123654", "{}", 2, "jL/V3fApl2p1HyOIhfCphukImT0GEapPCHUkL0sY7Qw="),
    ("testkey0123456789", BODY_C, 189, "jzRpbu1WhporBMwRLs7+PHKDpO57UpWwmytbcEXBsrc="),
    ("testkey0123456789", BODY_D, 196, "Omb3wX/Mm2wU5T77M3yC/+VklfxvsLnXv1UCt4JKyuI="),
];

fn key(text: &str) -> CallbackKey {
    text.parse().unwrap()
}

#[test]
fn the_vectors_pass() {
    for (text, body, len, signature) in VECTORS {
        assert_eq!(body.len(), len);
        assert_eq!(sign(&key(text), body.as_bytes()), signature);
        assert_eq!(verify(&[key(text)], body.as_bytes(), signature), Ok(()));
    }
    assert_eq!(sign_with(b"", b"{}"), "IvjuqQlACvmK3zaBqfMZI+9rf8ukq7VT2Sgjo+nVwl4=");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (text, body, _, signature) = VECTORS[3];
    let keys = [key(text)];
    for bit in 0..body.len() * 8 {
        let mut edited = body.as_bytes().to_vec();
        edited[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&keys, &edited, signature), Err(VerifyError::Mismatch), "bit {bit}");
    }
    let tag = STANDARD.decode(signature).unwrap();
    for bit in 0..tag.len() * 8 {
        let mut edited = tag.clone();
        edited[bit / 8] ^= 1 << (bit % 8);
        let header = STANDARD.encode(edited);
        assert_eq!(verify(&keys, body.as_bytes(), &header), Err(VerifyError::Mismatch), "bit {bit}");
    }
}

#[test]
fn headers_that_are_no_signature_are_refused() {
    let whole = VECTORS[2].3;
    let short = STANDARD.encode([0; 31]);
    for header in
        ["", "=", &whole[..43], &format!("{whole} "), &format!("{whole}="), &short, "kkoFeO3O", "\r\n"]
    {
        assert_eq!(verify(&[key("123654")], b"{}", header), Err(VerifyError::Malformed), "{header:?}");
    }
}

#[test]
fn an_old_and_a_new_key_serve_side_by_side() {
    let (old, new, other) = (key("old"), key("new"), key("other"));
    let header = sign(&new, b"{}");
    assert_eq!(verify(&[old.clone(), new.clone()], b"{}", &header), Ok(()));
    assert_eq!(verify(&[new, old.clone()], b"{}", &header), Ok(()));
    assert_eq!(verify(&[old, other], b"{}", &header), Err(VerifyError::Mismatch));
    assert_eq!(verify(&[], b"{}", &header), Err(VerifyError::NoKeys));
}

#[test]
fn the_age_counts_both_ways_and_includes_its_border() {
    let (text, body, _, signature) = VECTORS[0];
    let check = |now: u64| {
        let now = UnixMillis::new(now).unwrap();
        verify_fresh(&[key(text)], body.as_bytes(), signature, now, Duration::from_secs(120))
    };
    let sent = 1_664_209_748_188;
    for off in [0, 1, 119_000, 120_000] {
        assert_eq!((check(sent + off), check(sent - off)), (Ok(()), Ok(())), "{off}");
    }
    for off in [120_001, 121_000, 10_000_000] {
        let stale = Err(VerifyError::Stale { off: Duration::from_millis(off) });
        assert_eq!((check(sent + off), check(sent - off)), (stale, stale), "{off}");
    }
}

#[test]
fn without_a_time_there_is_no_age() {
    let header = sign(&key("k"), b"{}");
    let now = UnixMillis::EPOCH;
    assert_eq!(verify_fresh(&[key("k")], b"{}", &header, now, Duration::MAX), Err(VerifyError::NoTime));
    // The signature is looked at before the body is read.
    assert_eq!(verify_fresh(&[key("x")], b"{}", &header, now, Duration::MAX), Err(VerifyError::Mismatch));
}

#[test]
fn keys_keep_to_their_rules_and_out_of_sight() {
    for (text, at) in [("a b", 1), ("key\n", 3), ("ké", 1), ("a-b", 1)] {
        assert_eq!(text.parse::<CallbackKey>().unwrap_err(), InvalidCallbackKey::Byte { at });
    }
    for len in [0, 33] {
        let error = "x".repeat(len).parse::<CallbackKey>().unwrap_err();
        assert_eq!(error, InvalidCallbackKey::Length { len });
    }
    assert!("x".repeat(32).parse::<CallbackKey>().is_ok());
    assert_eq!(format!("{:?}", key("s3cret")), "CallbackKey([redacted])");
}

proptest! {
    #[test]
    fn what_is_signed_verifies(text in "[a-zA-Z0-9]{1,32}", body in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(verify(&[key(&text)], &body, &sign(&key(&text), &body)), Ok(()));
    }

    #[test]
    fn no_header_makes_verify_panic(header in "\\PC{0,60}") {
        prop_assert!(verify(&[key("k")], b"body", &header).is_err());
    }
}
