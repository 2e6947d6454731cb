//! Where there is no registry, or something else in its place.

use super::*;

/// A login page, a gateway: something that is up in front of a registry, or in its place.
#[tokio::test]
async fn who_says_yes_to_everything_has_confirmed_nothing() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 1 << 20];
                while let Ok(1..) = stream.read(&mut request).await {
                    let head = request.starts_with(b"HEAD");
                    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n";
                    let body = if head { "" } else { "<html></html>" };
                    let _ = stream.write_all(format!("{page}{body}").as_bytes()).await;
                }
            });
        }
    });
    let (image, repository) = (image(), format!("{host}/player").parse::<Repository>().unwrap());
    let tags = ["v1".to_owned()];
    let push = push_of(&image, &repository, &tags, &[]);
    let mut confirmed = false;
    let mut tell = |event| confirmed |= matches!(event, PushEvent::Confirmed { .. });
    let outcome = registry().push(&push, None, &mut tell).await;
    assert!(outcome.is_err() && !confirmed);
}

#[tokio::test]
async fn a_registry_that_never_answers_is_given_up_sooner_than_one_that_restarts() {
    let mut registry = registry();
    registry.pace.contact = Duration::from_millis(50);
    registry.pace.patience = Duration::from_secs(600);
    let image = image();
    let repository: Repository = "127.0.0.1:9/player".parse().unwrap();
    let tags = ["v1".to_owned()];
    let push = push_of(&image, &repository, &tags, &[]);
    let error = registry.push(&push, None, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, PushError::Request(RequestError::GaveUp { reached: false, .. })), "{error}");
}
