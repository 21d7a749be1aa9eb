//! HTTP over Trickles for programs that use [hyper](https://hyper.rs): a [`TricklesConnector`] takes the place
//! of hyper-util's `HttpConnector`, and nothing else changes.
//!
//! ```no_run
//! use http_body_util::{BodyExt, Empty};
//! use hyper::body::Bytes;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use trickles_hyper::TricklesConnector;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(TricklesConnector::new());
//! let response = client.get("trickles://localhost/list.txt".parse()?).await?;
//! let text = response.into_body().collect().await?.to_bytes();
//! # Ok(())
//! # }
//! ```

mod connector;
mod io;

pub use connector::{Connecting, DEFAULT_PORT, TricklesConnector};
pub use io::TricklesIo;
