use std::{io::Write, os::unix::fs::symlink, path::PathBuf};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

/// A ZIP on the disk.
fn archive(files: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upload");
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    (folder, path)
}

fn read_zip(files: &[(&str, &[u8])]) -> ReadOutcome {
    let (_folder, path) = archive(files);
    read_path(&path)
}

/// The small school, in a folder of the ZIP.
fn packed(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let folder = school_11();
    let files = fs::read_dir(folder.0.path()).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap()), fs::read(&path).unwrap())
    });
    files.collect()
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

#[test]
fn a_zip_is_read_like_a_folder_also_with_one_folder_at_its_top() {
    let whole = school_11().read();
    for prefix in ["", "Export 2026/"] {
        let files = packed(prefix);
        let mut files = borrowed(&files);
        files.push(("__MACOSX/._users.csv", b"\0\0"));
        files.push(("readme.pdf", b"%PDF"));
        let outcome = read_zip(&files);
        assert_eq!(outcome.bundle, whole.bundle);
        assert_eq!(warnings(&outcome), [""; 0]);
    }
}

#[test]
fn entries_that_name_other_places_are_not_read() {
    let files = packed("");
    let mut files = borrowed(&files);
    let evil: &[u8] = b"sourcedId,name\nevil,Evil\n";
    for name in ["../orgs.csv", "/etc/orgs.csv", "C:\\orgs.csv", "a\\..\\orgs.csv", "./orgs.csv", "a/b/orgs.csv"] {
        files.push((name, evil));
    }
    let outcome = read_zip(&files);
    assert_eq!(roster(&outcome).orgs.keys().collect::<Vec<_>>(), ["o1"]);
    let mut codes: Vec<_> = outcome.problems.iter().map(|problem| problem.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["nested_file", "odd_path", "odd_path", "odd_path", "odd_path", "odd_path"]);
}

#[test]
fn links_in_a_zip_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upload");
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    zip.add_symlink("orgs.csv", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let outcome = read_path(&path);
    assert_eq!(
        (warnings(&outcome), errors(&outcome)),
        (vec!["orgs.csv:: odd_path".to_owned()], vec![":: no_files".to_owned()])
    );
}

#[test]
fn a_bomb_is_stopped_by_what_comes_out_of_it() {
    let zeros = vec![b'x'; 8 * 1024 * 1024];
    let outcome = read_zip(&[("orgs.csv", &zeros), ("users.csv", b"sourcedId,givenName,familyName,role\n")]);
    assert!(errors(&outcome).contains(&"orgs.csv:: zip_bomb".to_owned()), "{:?}", outcome.problems);

    let (_folder, path) = archive(&[("orgs.csv", &zeros[..500_000]), ("users.csv", &zeros[..500_000])]);
    let hints = |limits| Hints { limits, ..Hints::default() };
    let outcome = read(&path, &hints(Limits { file_bytes: 400_000, ..Limits::default() }));
    assert_eq!(errors(&outcome)[..1], ["orgs.csv:: file_too_large"]);
    let outcome = read(&path, &hints(Limits { total_bytes: 900_000, ..Limits::default() }));
    assert!(errors(&outcome).contains(&"users.csv:: file_too_large".to_owned()));
    let outcome = read(&path, &hints(Limits { archive_bytes: 100, ..Limits::default() }));
    assert_eq!(errors(&outcome), [":: file_too_large"]);
    let outcome = read(&path, &hints(Limits { files: 1, ..Limits::default() }));
    assert_eq!(errors(&outcome), [":: too_many_files"]);
}

#[test]
fn headers_that_lie_about_sizes_do_not_help() {
    let (_folder, path) = archive(&[("orgs.csv", &vec![b'x'; 500_000])]);
    let mut bytes = fs::read(&path).unwrap();
    // The unpacked size in the local header and in the directory: 20 bytes.
    for (magic, at) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        let begin = bytes.windows(4).position(|window| window == magic).unwrap();
        bytes[begin + at..begin + at + 4].copy_from_slice(&20_u32.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
    let outcome =
        read(&path, &Hints { limits: Limits { file_bytes: 400_000, ..Limits::default() }, ..Hints::default() });
    let errors = errors(&outcome);
    assert!(
        errors.contains(&"orgs.csv:: file_too_large".to_owned())
            || errors.contains(&"orgs.csv:: unreadable_file".to_owned())
    );
}

#[test]
fn a_name_that_comes_twice_is_an_error() {
    let orgs: &[u8] = b"sourcedId,name\no1,A\n";
    let outcome = read_zip(&[("orgs.csv", orgs), ("Orgs.CSV", orgs)]);
    assert!(errors(&outcome).contains(&"Orgs.CSV:: duplicate_file".to_owned()));
    // The writer refuses the same name, so it is written into the bytes.
    let (_folder, path) = archive(&[("orgs.csv", orgs), ("orgt.csv", orgs)]);
    let bytes = fs::read(&path).unwrap();
    let text: Vec<u8> = bytes
        .iter()
        .enumerate()
        .map(|(at, byte)| if bytes[at.saturating_sub(3)..].starts_with(b"orgt") { b's' } else { *byte })
        .collect();
    fs::write(&path, text).unwrap();
    assert_eq!(errors(&read_path(&path)), [":: duplicate_file"]);
}

#[test]
fn an_encrypted_file_is_an_error() {
    let (_folder, path) = archive(&[("orgs.csv", b"sourcedId,name\no1,A\n")]);
    let mut bytes = fs::read(&path).unwrap();
    for (magic, at) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let begin = bytes.windows(4).position(|window| window == magic).unwrap();
        bytes[begin + at] |= 1;
    }
    fs::write(&path, bytes).unwrap();
    assert!(errors(&read_path(&path)).contains(&"orgs.csv:: encrypted_file".to_owned()));
}

#[test]
fn what_is_no_zip_or_no_roster_is_told() {
    assert_eq!(errors(&read_file(b"PK\x03\x04 nonsense")), [":: broken_zip"]);
    assert_eq!(errors(&read_zip(&[])), [":: no_files"]);
    assert_eq!(errors(&read_zip(&[("[Content_Types].xml", b"<x/>")]))[..1], [":: not_a_table"]);
    assert_eq!(errors(&read_zip(&[("a.csv", b"x\n"), ("b.csv", b"x\n")])), [":: unknown_format"]);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(errors(&read_path(folder.path())), [":: no_files"]);
    assert_eq!(errors(&read_path(&folder.path().join("gone.zip"))), [":: unreadable_file"]);
}

#[test]
fn a_broken_entry_is_an_error() {
    let files = packed("");
    let (_folder, path) = archive(&borrowed(&files));
    let mut bytes = fs::read(&path).unwrap();
    let begin = bytes.windows(9).position(|window| window == b"users.csv").unwrap() + 30;
    bytes[begin] ^= 0x55;
    fs::write(&path, bytes).unwrap();
    assert!(
        errors(&read_path(&path)).iter().any(|error| error.starts_with("users.csv")),
        "{:?}",
        read_path(&path).problems
    );
}

#[test]
fn a_folder_gives_its_own_files_only() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.csv"), "sourcedId,name\nx,X\n").unwrap();
    let folder = school_11().without("orgs.csv");
    symlink(outside.path().join("secret.csv"), folder.0.path().join("orgs.csv")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.0.path().join("roles.csv"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::create_dir(folder.0.path().join("demographics.csv")).unwrap();
    let outcome = folder.read();
    assert_eq!(
        warnings(&outcome)[..3],
        ["demographics.csv:: not_a_file", "orgs.csv:: not_a_file", "roles.csv:: not_a_file"].map(str::to_owned)
    );
    assert_eq!(errors(&outcome)[0], "orgs.csv:: missing_file");
}

#[test]
fn a_pipe_does_not_make_the_reader_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(errors(&read_path(&path)), [":: unreadable_file"]);
}

#[test]
fn rows_and_sizes_have_an_end() {
    let text = format!("Vorname,Nachname,Rolle\n{}", "A,B,Lehrkraft\n".repeat(100));
    let outcome = read_limited(&text, Limits { rows: 10, ..Limits::default() });
    assert!(errors(&outcome).contains(&"people.csv:12: too_many_rows".to_owned()));
    let outcome = read_limited(&text, Limits { file_bytes: 1_000, ..Limits::default() });
    assert_eq!(errors(&outcome), ["people.csv:: file_too_large"]);
}
