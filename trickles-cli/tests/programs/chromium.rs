//! A browser, by way of the proxy.

use std::fs;
use std::process::Stdio;

use super::{Fixture, Service, installed, proxy, socks_proxy, stdout};

const IMAGES: u16 = 12;

/// A picture of `width` times 100 pixels, in the plainest format that browsers show.
fn bitmap(width: u16) -> Vec<u8> {
    let (height, row) = (100_u16, (usize::from(width) * 3).next_multiple_of(4));
    let pixels = vec![width as u8; row * usize::from(height)];
    let mut bytes = b"BM".to_vec();
    bytes.extend((54 + pixels.len() as u32).to_le_bytes());
    bytes.extend([0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0]);
    bytes.extend(u32::from(width).to_le_bytes());
    bytes.extend(u32::from(height).to_le_bytes());
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    bytes.extend(pixels);
    bytes
}

/// A page with pictures, of which a script tells the widths once all is loaded.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let mut page = "<!doctype html><title>t</title><script src=\"script.js\"></script>".to_owned();
    for index in 1..=IMAGES {
        fs::write(fixture.files().join(format!("{index}.bmp")), bitmap(100 * index)).unwrap();
        page += &format!("<img src=\"{index}.bmp\">");
    }
    let script = "addEventListener('load', () => {
        const widths = [...document.images].map(image => image.naturalWidth);
        document.body.append('widths: ' + widths.join(' ') + '.');
    });";
    fs::write(fixture.files().join("index.html"), page).unwrap();
    fs::write(fixture.files().join("script.js"), script).unwrap();
    fixture
}

/// What becomes of the page at `url`; `None` without a browser.
fn load(fixture: &Fixture, url: &str, options: &[&str]) -> Option<String> {
    let profile = fixture.path("profile");
    let _ = fs::create_dir(&profile);
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        // It talks to nobody else.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--dump-dom",
    ];
    let mut command = installed("chromium", &flags)?;
    command.arg(format!("--user-data-dir={}", profile.display())).args(options).arg(url);
    let output = command.stderr(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    Some(stdout(&output).to_owned())
}

#[track_caller]
fn assert_loaded(page: &str) {
    let widths: Vec<_> = (1..=IMAGES).map(|index| (100 * index).to_string()).collect();
    let expected = format!("widths: {}.", widths.join(" "));
    assert!(page.contains(&expected), "{page}");
}

fn through(proxy: &Service) -> String {
    format!("http://{}/", proxy.address)
}

#[test]
fn a_browser_loads_a_page_with_images_and_a_script() {
    let fixture = fixture();
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let Some(page) = load(&fixture, &through(&proxy), &["--no-proxy-server"]) else { return };
    assert_loaded(&page);
}

#[test]
fn a_browser_uses_the_socks_server() {
    let fixture = fixture();
    let server = fixture.serve();
    let proxy = socks_proxy();
    // A browser reaches its own machine without a proxy, unless it is told otherwise.
    let socks = format!("--proxy-server=socks5://{}", proxy.address);
    let options = [socks.as_str(), "--proxy-bypass-list=<-loopback>;*.google.com"];
    let Some(page) = load(&fixture, &format!("http://{}/", server.address), &options) else { return };
    assert_loaded(&page);
}
