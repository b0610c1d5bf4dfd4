//! The data folder: a marker file says that it is ours, of which format, and for which server name.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::StoreError;

/// The format this server writes.
const FORMAT: u32 = 1;
const MARKER: &str = "homeroom.json";

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    server_name: String,
}

/// A checked data folder.
#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
}

impl DataFolder {
    /// Opens the folder, or makes it when it is missing or empty.
    ///
    /// # Errors
    /// A folder that holds something else, belongs to another server name or a newer format, or has lost parts is
    /// refused: it is never silently started afresh.
    pub fn open(path: &Path, server_name: &str) -> Result<Self, StoreError> {
        let fail = |problem: String| StoreError::Folder { path: path.to_owned(), problem };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| fail(format!("cannot be created: {e}. Check the path and its owner.")))?;
        let folder = Self { path: path.to_owned() };
        match fs::read(path.join(MARKER)) {
            Ok(bytes) => {
                let marker: Marker = serde_json::from_slice(&bytes)
                    .map_err(|e| fail(format!("{MARKER} is damaged ({e}). Restore it from a backup.")))?;
                if marker.format > FORMAT {
                    return Err(fail(format!(
                        "was written by a newer Homeroom (format {}, this one knows {FORMAT}).",
                        marker.format
                    )));
                }
                if marker.server_name != server_name {
                    return Err(fail(format!(
                        "belongs to the server '{}', not '{server_name}'. A server's name cannot be changed.",
                        marker.server_name
                    )));
                }
                if !folder.database().join("CURRENT").exists() {
                    return Err(fail(
                        "its database is missing or has lost files. Restore the folder from a backup.".into(),
                    ));
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => folder.create(server_name)?,
            Err(e) => return Err(fail(format!("{MARKER} cannot be read: {e}"))),
        }
        Ok(folder)
    }

    /// Makes a new folder. The marker is written by [`Self::seal`], once the database exists, so a crash in between
    /// leaves a folder that says what it is.
    fn create(&self, _server_name: &str) -> Result<(), StoreError> {
        let fail = |problem: String| StoreError::Folder { path: self.path.clone(), problem };
        let mut entries = fs::read_dir(&self.path).map_err(|e| fail(format!("cannot be read: {e}")))?;
        // An unfinished creation left only the database of an empty server.
        let foreign = entries.any(|e| e.is_ok_and(|e| e.file_name() != "db"));
        if foreign {
            return Err(fail(format!(
                "is not empty and has no {MARKER}: it is not a Homeroom data folder. Choose an empty one."
            )));
        }
        Ok(())
    }

    /// Writes the marker, durably, if it is not there yet.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn seal(&self, server_name: &str) -> Result<(), StoreError> {
        let fail = |e: std::io::Error| StoreError::Folder {
            path: self.path.clone(),
            problem: format!("cannot be written: {e}"),
        };
        if self.path.join(MARKER).exists() {
            return Ok(());
        }
        let temporary = self.path.join("homeroom.json.new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(fail)?;
        let marker = serde_json::json!({"format": FORMAT, "server_name": server_name});
        writeln!(file, "{marker}").and_then(|()| file.sync_all()).map_err(fail)?;
        fs::rename(&temporary, self.path.join(MARKER)).map_err(fail)?;
        fs::File::open(&self.path).and_then(|d| d.sync_all()).map_err(fail)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The engine's own folder.
    pub fn database(&self) -> PathBuf {
        self.path.join("db")
    }

    /// Where uploads are kept.
    pub fn media(&self) -> PathBuf {
        self.path.join("media")
    }

    /// The folder of certificates from an authority.
    pub fn acme(&self) -> PathBuf {
        self.path.join("acme")
    }

    /// The socket through which the command line reaches a running server.
    pub fn admin_socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn problem(path: &Path, name: &str) -> String {
        DataFolder::open(path, name).unwrap_err().to_string()
    }

    #[test]
    fn a_foreign_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.odt"), "x").unwrap();
        assert!(problem(dir.path(), "a").contains("not a Homeroom data folder"));
    }

    #[test]
    fn another_server_name_a_newer_format_and_a_lost_database_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(dir.path(), "a").unwrap();
        folder.seal("a").unwrap();
        assert!(problem(dir.path(), "a").contains("lost files"));
        fs::create_dir(folder.database()).unwrap();
        fs::write(folder.database().join("CURRENT"), "").unwrap();
        DataFolder::open(dir.path(), "a").unwrap();
        assert!(problem(dir.path(), "b").contains("belongs to the server 'a'"));
        fs::write(dir.path().join(MARKER), r#"{"format":99,"server_name":"a"}"#).unwrap();
        assert!(problem(dir.path(), "a").contains("newer"));
        fs::write(dir.path().join(MARKER), "{").unwrap();
        assert!(problem(dir.path(), "a").contains("damaged"));
    }
}
