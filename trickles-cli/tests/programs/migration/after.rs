use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles_tokio::TricklesStream;

pub(crate) async fn get(server: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TricklesStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}
