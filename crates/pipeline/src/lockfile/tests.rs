//! Texts, and the image lock they are or the reason they are none.

use super::*;

fn image(service: &str, digit: &str) -> String {
    format!("{service} r.io/radio/{service}@sha256:{}", digit.repeat(64))
}

fn read(text: &str) -> String {
    match text.parse::<ImageLock>() {
        Ok(lock) => lock.to_string(),
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}")
        }
    }
}

#[test]
fn what_is_an_image_lock() {
    let (web, api) = (image("web", "a"), image("api", "b"));
    for (text, expected) in [
        (String::new(), String::new()),
        (format!("{web}\n"), format!("{web}\n")),
        (web.clone(), format!("{web}\n")),
        (format!("# made by CI\n\n \t {web}  \n#{api}\n"), format!("{web}\n")),
        (format!("{web}\r\n{api}\r\n"), format!("{api}\n{web}\n")),
        (web.replace(' ', " \t "), format!("{web}\n")),
        (web.replace("@sha256", ":v1@sha256"), format!("{web}\n")),
    ] {
        assert_eq!(read(&text), expected, "{text:?}");
        assert_eq!(read(&expected), expected, "what is printed is read back");
    }
}

#[test]
fn what_is_none() {
    let web = image("web", "a");
    let texts = [
        "web r.io/web:v1".to_owned(),
        "web r.io/web".to_owned(),
        format!("web r.io/web@sha256:{}", "a".repeat(63)),
        format!("web r.io/web@md5:{}", "a".repeat(32)),
        "\nweb".to_owned(),
        format!("{web} more"),
        format!("{web}\n\n{web}"),
        web.replacen("web", "Web", 1),
        "{\"v\":1,\"type\":\"prepared\"}".to_owned(),
    ];
    let refusals: String = texts.iter().map(|text| format!("{text:?}\n    {}\n", read(text))).collect();
    insta::assert_snapshot!(refusals);
}
