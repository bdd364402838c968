//! Signature of what an SMS service of Twilio's shape says of a message later (`X-Twilio-Signature`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Whether a request is signed with an account's token: by HMAC-SHA1 over the URL that the service called, as it was told
/// it, and the form's fields in the order of their names. In time that does not depend on the signature.
#[must_use]
pub fn is_signed(auth_token: &str, url: &str, form: &[(String, String)], signature: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    let mut fields: Vec<_> = form.iter().collect();
    fields.sort();
    let signed = fields.iter().fold(url.to_owned(), |signed, (name, value)| signed + name + value);
    // What HMAC needs of SHA-1 is not what has been broken of it, and the service offers nothing else.
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token.as_bytes());
    hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_service_is_signed_and_nothing_else_is() {
        const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
        const SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        let form = [
            ("To", "+18005551212"),
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
        ];
        let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let check = |token, url, form: &[(String, String)], signature, expected| {
            assert_eq!(is_signed(token, url, form, signature), expected, "{token} {url} {signature}");
        };
        check("12345", URL, &form, SIGNATURE, true);
        check("12346", URL, &form, SIGNATURE, false);
        check("12345", "https://mycompany.com/myapp.php?foo=1", &form, SIGNATURE, false);
        check("12345", URL, &form[1..], SIGNATURE, false);
        check("12345", URL, &form, "", false);
        check("12345", URL, &form, "not base64", false);
        check("12345", URL, &form, "RSOYDt4T1cUTdK1PDd93/VVr8B4=", false);
    }
}
