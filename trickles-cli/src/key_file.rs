//! Key rings in files that only their owner can read.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use directories::ProjectDirs;
use trickles::key_ring::{KEY_LENGTH, KeyRing};
use zeroize::Zeroizing;

/// Far more than any key ring has, so that a wrong file is not read into memory.
const MAX_LENGTH: usize = 1 << 20;

/// A line of a key ring: `id` and a fresh key.
pub(crate) fn generate(id: u16) -> Result<Zeroizing<String>> {
    let mut secret = Zeroizing::new([0; KEY_LENGTH]);
    getrandom::fill(&mut *secret).context("cannot get random bytes")?;
    let mut line = Zeroizing::new(String::with_capacity(8 + 2 * KEY_LENGTH));
    write!(line, "{id} ")?;
    for byte in secret.iter() {
        write!(line, "{byte:02x}")?;
    }
    line.push('\n');
    Ok(line)
}

/// Writes `text` to a new file that only its owner can read; the file appears with all of its content.
///
/// Fails with [`ErrorKind::AlreadyExists`] rather than replace a file.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".trickles-key-").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// Reads the key ring in `path`.
pub(crate) fn load(path: &Path) -> Result<KeyRing> {
    let name = path.display();
    let file = File::open(path).with_context(|| {
        let hint = if path.exists() { "" } else { " (`trickles keygen FILE` makes one)" };
        format!("cannot open the key file {name}{hint}")
    })?;
    check_private(&file, path)?;
    // A buffer that grows leaves its contents behind where they were.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_LENGTH));
    file.take(MAX_LENGTH as u64)
        .read_to_end(&mut text)
        .with_context(|| format!("cannot read the key file {name}"))?;
    ensure!(text.len() < MAX_LENGTH, "the key file {name} is too long to be one");
    // The error of `from_utf8` tells no more than a position.
    let text = str::from_utf8(&text).with_context(|| format!("the key file {name} is no text"))?;
    KeyRing::parse(text).with_context(|| format!("the key file {name} is no key ring"))
}

/// Reads the key ring in the user's data directory; makes it when there is none.
pub(crate) fn load_or_create() -> Result<KeyRing> {
    load_or_create_at(&default_path()?)
}

fn load_or_create_at(path: &Path) -> Result<KeyRing> {
    if !path.try_exists().with_context(|| format!("cannot look for the key file {}", path.display()))? {
        let context = || format!("cannot create the key file {}", path.display());
        if let Some(parent) = path.parent() {
            create_private_directory(parent).with_context(context)?;
        }
        match create(path, &generate(1)?) {
            // Another process has made it in the meantime: its key is as good.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => result.with_context(context)?,
        }
    }
    load(path)
}

fn default_path() -> Result<PathBuf> {
    match ProjectDirs::from("", "", "trickles") {
        Some(directories) => Ok(directories.data_dir().join("keys")),
        None => bail!("there is no home directory to keep a key in: name a key file with --key-file"),
    }
}

fn create_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    let (mode, name) = (metadata.mode(), path.display());
    ensure!(!metadata.is_dir(), "the key file {name} is a directory");
    ensure!(
        mode & 0o077 == 0,
        "others can read or write the key file {name} (mode {:03o}): run `chmod 600 {name}`, and replace the \
         key if somebody may have read it",
        mode & 0o777,
    );
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_file: &File, _path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn a_generated_line_is_a_key_ring() {
        let line = generate(513).unwrap();
        assert_eq!(KeyRing::parse(&line).unwrap().signing_id(), 513);
        assert_ne!(line, generate(513).unwrap());
    }

    #[test]
    fn a_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path, "first").unwrap();
        assert_eq!(create(&path, "second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn processes_that_race_end_up_with_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/keys");
        let barrier = Barrier::new(8);
        let race = || {
            barrier.wait();
            load_or_create_at(&path).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        let keys: BTreeSet<_> = thread::scope(|scope| {
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(keys.len(), 1);
        load_or_create_at(&path).unwrap();
        assert!(keys.contains(&fs::read_to_string(&path).unwrap()));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_and_its_directories_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/keys");
        load_or_create_at(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        for open in [0o640, 0o604, 0o620, 0o602, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            let message = load(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        }
    }

    #[test]
    fn errors_name_the_file_and_what_is_wrong_and_show_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let digits = "5ec2e7".repeat(11)[..64].to_owned();
        let (short, long) = (&digits[..63], format!("{digits}0"));
        let expected = "line 3 is not a key: expected an id and 64 hexadecimal digits";
        for (third, words) in [
            (digits.as_bytes(), expected),
            (format!("65536 {digits}").as_bytes(), expected),
            (format!("2 {short}").as_bytes(), expected),
            (format!("2 {long}").as_bytes(), expected),
            (format!("2 {short}g").as_bytes(), expected),
            (format!("2, {digits}").as_bytes(), expected),
            (format!("{digits} 2").as_bytes(), expected),
            (format!("1 {digits}").as_bytes(), "key id 1 occurs twice"),
            (&[format!("2 {digits}").as_bytes(), b"\xff"].concat(), "is no text"),
            (&[b'#'; MAX_LENGTH], "is too long"),
        ] {
            fs::write(&path, [format!("# comment\n1 {digits}\n").as_bytes(), third].concat()).unwrap();
            #[cfg(unix)]
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            let error = load(&path).unwrap_err();
            let message = format!("{error:#}");
            assert!(message.contains(words) && message.contains(path.to_str().unwrap()), "{message}");
            assert!(!format!("{error:#} {error:?}").contains(&digits[..6]), "{message}");
        }
        let message = format!("{:#}", load(&directory.path().join("none")).unwrap_err());
        assert!(message.contains("trickles keygen"), "{message}");
        let message = format!("{:#}", load(directory.path()).unwrap_err());
        assert!(message.contains("directory") && !message.contains("chmod"), "{message}");
    }
}
