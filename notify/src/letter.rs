//! The HTML of a mail whose application has written none: its title, its text and a button.
//!
//! Owns how it looks, and that nothing of a text becomes markup. Written for mail programs: styles stand at their elements,
//! there is no picture, and nothing is loaded.

/// Styles of the parts.
const PAGE: &str = "margin:0;padding:24px 12px;background:#f2f3f5;color:#1c1e21;\
    font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const SHEET: &str = "max-width:560px;margin:0 auto;padding:28px;background:#ffffff;border:1px solid #dfe1e5;\
    border-radius:12px";
const TITLE: &str = "margin:0 0 16px;font-size:20px;line-height:1.3";
const TEXT: &str = "margin:0 0 16px;font-size:16px;line-height:1.5;overflow-wrap:anywhere";
const BUTTON: &str = "display:inline-block;padding:11px 22px;border-radius:8px;background:#1b5fc1;color:#ffffff;\
    font-size:16px;font-weight:600;text-decoration:none";

/// A document of a title, of paragraphs that empty lines set apart, and of a button that leads to `url`.
#[must_use]
pub(crate) fn html(title: &str, text: &str, url: Option<&str>) -> String {
    let title = escape(title);
    let text = text.replace("\r\n", "\n");
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    let paragraphs: String = paragraphs
        .map(|paragraph| format!("<p style=\"{TEXT}\">{}</p>", escape(paragraph).replace('\n', "<br>")))
        .collect();
    let button = url
        .map(|url| format!("<p style=\"margin:24px 0 0\"><a href=\"{}\" style=\"{BUTTON}\">Open</a></p>", escape(url)));
    let button = button.unwrap_or_default();
    format!(
        "<!doctype html><html><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\
         <body style=\"{PAGE}\"><div style=\"{SHEET}\"><h1 style=\"{TITLE}\">{title}</h1>{paragraphs}{button}</div></body></html>"
    )
}

/// A text in HTML, within an element or an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        let check = |title: &str, text: &str, url: Option<&str>, expected: &[&str]| {
            let html = html(title, text, url);
            let (_, body) = html.split_once("<body").expect("it has one");
            // Without styles, which are the same for all.
            let mut bare = String::new();
            for (at, part) in body.split(" style=\"").enumerate() {
                bare.push_str(if at == 0 { part } else { part.split_once('"').expect("it ends").1 });
            }
            let expected = format!("><div><h1>{}</div></body></html>", expected.concat());
            assert_eq!(bare, expected, "{title} {text}");
        };
        check("Hi", "there", None, &["Hi</h1>", "<p>there</p>"]);
        check("Hi", "", None, &["Hi</h1>"]);
        check(
            "Hi",
            "one\ntwo\n\n\nthree\r\n\r\nfour\n",
            None,
            &["Hi</h1>", "<p>one<br>two</p>", "<p>three</p>", "<p>four</p>"],
        );
        check(
            "<b>",
            "<script>alert('&')</script>",
            None,
            &["&lt;b&gt;</h1>", "<p>&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</p>"],
        );
        check(
            "Hi",
            "x",
            Some("https://a.example/?b=1&c=\"2\""),
            &["Hi</h1>", "<p>x</p>", "<p><a href=\"https://a.example/?b=1&amp;c=&quot;2&quot;\">Open</a></p>"],
        );
    }
}
