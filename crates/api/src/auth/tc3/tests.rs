use proptest::prelude::*;

use super::*;

const ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE";
const TIME: u64 = 1_551_113_065;
const BODY_A: &[u8] =
    br#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
const BODY_B: &[u8] = br#"{"SdkAppId": 1400188366, "TaskId": "t1"}"#;

fn key() -> Secret {
    Secret::new("Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")
}

fn at(seconds: u64) -> UnixMillis {
    UnixMillis::new(seconds * 1000).unwrap()
}

const fn header<'a>(name: &'a str, value: &'a str) -> SignedHeader<'a> {
    SignedHeader { name, value }
}

const LOCAL: [SignedHeader<'static>; 2] =
    [header("Content-Type", "application/json"), header("Host", "127.0.0.1:8080")];

fn signature(header: &str) -> &str {
    header.rsplit_once("Signature=").unwrap().1
}

#[test]
fn vector_a_step_by_step() {
    assert_eq!(
        hex(&Sha256::digest(BODY_A)),
        "35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064"
    );
    let headers = [
        header("Host", "cvm.tencentcloudapi.com"),
        header("Content-Type", "application/json; charset=utf-8"),
        header("X-TC-Action", "DescribeInstances"),
    ];
    let call = ScopedRequest::post("cvm", &headers, BODY_A);
    for (names, hash) in [
        ("content-type;host", "5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031"),
        ("content-type;host;x-tc-action", "7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84"),
    ] {
        assert_eq!(call.canonical_hash(names, false).unwrap(), hash);
    }
    assert_eq!(date(TIME).unwrap(), "2019-02-25");
    let date_key = step(b"TC3Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "2019-02-25");
    let service_key = step(&date_key, "cvm");
    assert_eq!(hex(&date_key), "d1308c81fe71cfd4e06437bbc067b2b8a3d2d8c0e375d547f15c41d5214b395a");
    assert_eq!(hex(&service_key), "3c7cb7c7795393edc14fd2e0e6434a518564b4504b88e94f5d11bf59ba3e7050");
    assert_eq!(
        hex(&step(&service_key, "tc3_request")),
        "ac658d5dde49e9bfdd14e04e062f66b05d9f637d44b8a8d845327d4a77f666b1"
    );

    let with_action = Authorization::sign(&call, ID, &key(), TIME).unwrap();
    assert_eq!(signature(&with_action), "644be983de9a8a3f00db8eadaba61467c3b429e2215758ba897b738ca469fd26");
    let without = ScopedRequest::post("cvm", &headers[..2], BODY_A);
    assert_eq!(
        Authorization::sign(&without, ID, &key(), TIME).unwrap(),
        format!(
            "TC3-HMAC-SHA256 Credential={ID}/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host, \
             Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
        )
    );
}

#[test]
fn vectors_b_to_d() {
    let service_key = step(&step(b"TC3Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "2019-02-25"), "trtc");
    assert_eq!(hex(&service_key), "c2aab60612561c93f93fdc0dfb56d1f605d1b30cfece423c4ca7a80304149b55");
    assert_eq!(
        hex(&step(&service_key, "tc3_request")),
        "c1837621f1dadda1ea27b8cad7f0ac76373da8531061b25aca00da22ae83eca4"
    );
    let unsigned = [LOCAL[0], LOCAL[1], header("X-TC-Content-SHA256", "UNSIGNED-PAYLOAD")];
    let form =
        [header("content-type", "application/x-www-form-urlencoded"), header("host", "127.0.0.1:8080")];
    for (call, hash, expected) in [
        (
            ScopedRequest::post("trtc", &LOCAL, BODY_B),
            "75f978419b965ea9cb123a9ce3282bb37d425bfad8c829b670b15347f0853b48",
            "9d78751dfc152a947e7acfdff010bed6e992969f75ef0fe5b5b695b7d77b870f",
        ),
        (
            ScopedRequest::post("trtc", &unsigned, b"anything"),
            "22aaca0caecf27857ab51d4f53aaefaea575c4096280b42fbe321ec58dfcfa7b",
            "7893a3cc3332049a57266558816dee8bc990b923994c4ddc3fc8409662ba58c3",
        ),
        (
            ScopedRequest::get("trtc", &form, "SdkAppId=1400188366&TaskId=t1"),
            "c61a92b1d35c6cc7a791f0ba394cc914be3f7552d0beed2b5734b4490a81b544",
            "454d40ea948e5366b8e720bdd7c7d3385ced8e310f0b4d260f679cc72e0cef78",
        ),
    ] {
        assert_eq!(call.canonical_hash("content-type;host", false).unwrap(), hash);
        let authorization = Authorization::sign(&call, ID, &key(), TIME).unwrap();
        assert_eq!(signature(&authorization), expected);
        let parsed = Authorization::parse(&authorization).unwrap();
        assert_eq!(parsed.verify(&call, "1551113065", &key(), at(TIME)), Ok(()));
    }
}

#[test]
fn the_window_is_five_minutes_both_ways() {
    let call = ScopedRequest::post("trtc", &LOCAL, BODY_B);
    let parsed = Authorization::parse(&Authorization::sign(&call, ID, &key(), TIME).unwrap()).unwrap();
    let verify = |now| parsed.verify(&call, "1551113065", &key(), at(now));
    assert_eq!((verify(TIME - 300), verify(TIME + 300)), (Ok(()), Ok(())));
    for now in [TIME - 301, TIME + 301] {
        assert_eq!(verify(now), Err(AuthError::Expired { off_seconds: 301 }));
        assert_eq!(verify(now).unwrap_err().code().as_str(), "AuthFailure.SignatureExpire");
    }
    for bad in ["", "-1551113065", "+1551113065", "1551113065 ", "0x5c", "99999999999999999999"] {
        let error = parsed.verify(&call, bad, &key(), at(TIME)).unwrap_err();
        assert!(matches!(error, AuthError::Malformed(_) | AuthError::Expired { .. }), "{bad:?}: {error}");
    }
    assert!(matches!(parsed.verify(&call, "1551113066", &key(), at(TIME)), Err(AuthError::Mismatch)));
}

#[test]
fn whatever_is_signed_cannot_be_changed() {
    let headers = [LOCAL[0], LOCAL[1], header("X-TC-Action", "DescribeCloudRecording")];
    let call = ScopedRequest::post("trtc", &headers, BODY_B);
    let parsed = Authorization::parse(&Authorization::sign(&call, ID, &key(), TIME).unwrap()).unwrap();
    assert_eq!(parsed.signed_headers(), "content-type;host;x-tc-action");
    let verify = |call: ScopedRequest<'_>| parsed.verify(&call, "1551113065", &key(), at(TIME));
    assert_eq!(verify(call), Ok(()));
    let action = [LOCAL[0], LOCAL[1], header("X-TC-Action", "DeleteCloudRecording")];
    let charset = [header("Content-Type", "application/json; charset=utf-8"), LOCAL[1], headers[2]];
    let host = [LOCAL[0], header("Host", "127.0.0.1"), headers[2]];
    let unsigned = [headers[0], headers[1], headers[2], header("x-tc-content-sha256", "UNSIGNED-PAYLOAD")];
    for (what, changed) in [
        ("action", ScopedRequest::post("trtc", &action, BODY_B)),
        ("content type", ScopedRequest::post("trtc", &charset, BODY_B)),
        ("host", ScopedRequest::post("trtc", &host, BODY_B)),
        ("body", ScopedRequest::post("trtc", &headers, b"{}")),
        ("no hash", ScopedRequest::post("trtc", &unsigned, BODY_B)),
        ("method", ScopedRequest::get("trtc", &headers, "")),
    ] {
        assert_eq!(verify(changed), Err(AuthError::Mismatch), "{what}");
    }
    let twice = [headers[0], headers[1], headers[2], header("HOST", "evil")];
    for (what, changed) in [
        ("gone", ScopedRequest::post("trtc", &LOCAL, BODY_B)),
        ("twice", ScopedRequest::post("trtc", &twice, BODY_B)),
        ("service", ScopedRequest::post("cvm", &headers, BODY_B)),
    ] {
        assert!(matches!(verify(changed), Err(AuthError::Malformed(_))), "{what}");
    }
    // The case of values is not signed, nor what is around them.
    let same = [header("CONTENT-TYPE", " Application/JSON\t"), LOCAL[1], headers[2]];
    assert_eq!(verify(ScopedRequest::post("trtc", &same, BODY_B)), Ok(()));
}

#[test]
fn headers_that_are_not_in_the_form_are_refused() {
    let good = Authorization::sign(&ScopedRequest::post("trtc", &LOCAL, BODY_B), ID, &key(), TIME).unwrap();
    let sig = signature(&good);
    let made = |credential: &str, names: &str, sig: &str| {
        format!("TC3-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={sig}")
    };
    let scope = format!("{ID}/2019-02-25/trtc/tc3_request");
    assert!(Authorization::parse(&made(&scope, "content-type;host;x-tc-action", sig)).is_ok());
    for bad in [
        String::new(),
        "TC3-HMAC-SHA256".into(),
        "TC3-HMAC-SHA256Credential=a".into(),
        good.replace("TC3-HMAC-SHA256", "AWS4-HMAC-SHA256"),
        good.replace(", Signature", ", X=1, Signature"),
        format!("{good}, Signature={sig}"),
        good.replace("Signature=", ""),
        made(&format!("{scope}/x"), "content-type;host", sig),
        made(ID, "content-type;host", sig),
        made(&scope.replace("tc3_request", "aws4_request"), "content-type;host", sig),
        made(&scope, "host", sig),
        made(&scope, "content-type", sig),
        made(&scope, "host;content-type", sig),
        made(&scope, "content-type;host;host", sig),
        made(&scope, "Content-Type;host", sig),
        made(&scope, "content-type;host;", sig),
        made(&scope, "", sig),
        made(&scope, "content-type;host", &sig.to_uppercase()),
        made(&scope, "content-type;host", &sig[1..]),
        made(&scope, "content-type;host", ""),
        made(&scope, &format!("content-type;host;{}", "x".repeat(5000)), sig),
    ] {
        let error = Authorization::parse(&bad).unwrap_err();
        assert_eq!(error.code().as_str(), "AuthFailure.SignatureFailure", "{bad}");
    }
    for id in ["", "a b", "a\nb", "ü", &"x".repeat(129)] {
        let bad = made(&format!("{id}/2019-02-25/trtc/tc3_request"), "content-type;host", sig);
        assert_eq!(Authorization::parse(&bad), Err(AuthError::InvalidSecretId));
        assert_eq!(AuthError::InvalidSecretId.code().as_str(), "AuthFailure.InvalidSecretId");
    }
    let wrong_day = good.replace("2019-02-25", "2019-02-26");
    let error = Authorization::parse(&wrong_day)
        .unwrap()
        .verify(&ScopedRequest::post("trtc", &LOCAL, BODY_B), "1551113065", &key(), at(TIME))
        .unwrap_err();
    assert_eq!(error, AuthError::Malformed("the date is not that of the timestamp"));
}

proptest! {
    #[test]
    fn any_header_is_refused_or_read(header in "(TC3-HMAC-SHA256 )?(Credential=|SignedHeaders=|Signature=|[a-z0-9;/,= ]|\\PC){0,60}") {
        let _ = Authorization::parse(&header);
    }

    #[test]
    fn any_call_is_verified_after_it_was_signed_and_not_with_another_key(
        body in proptest::collection::vec(any::<u8>(), 0..80),
        host in "\\PC{0,20}",
        kind in "\\PC{0,20}",
        time in 0u64..=253_402_300_799,
    ) {
        let headers = [header("content-type", &kind), header("host", &host)];
        let call = ScopedRequest::post("trtc", &headers, &body);
        let signed = Authorization::sign(&call, ID, &key(), time).unwrap();
        let parsed = Authorization::parse(&signed).unwrap();
        prop_assert_eq!(parsed.verify(&call, &time.to_string(), &key(), at(time)), Ok(()));
        let other = parsed.verify(&call, &time.to_string(), &Secret::new("x"), at(time));
        prop_assert_eq!(other, Err(AuthError::Mismatch));
    }

    #[test]
    fn any_values_of_a_call_are_verified_or_refused(
        name in "\\PC{0,12}|host|content-type",
        value in ".{0,20}",
        timestamp in ".{0,12}|[0-9]{0,22}",
        query in ".{0,20}",
    ) {
        let headers = [LOCAL[0], LOCAL[1], header(&name, &value)];
        let call = ScopedRequest::get(&value, &headers, &query);
        let parsed = Authorization::parse(&Authorization::sign(&ScopedRequest::post("trtc", &LOCAL, b""), ID, &key(), TIME).unwrap()).unwrap();
        prop_assert!(parsed.verify(&call, &timestamp, &key(), at(TIME)).is_err());
    }
}
