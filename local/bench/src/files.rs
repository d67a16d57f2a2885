//! Files that the bench writes.

use std::path::Path;

use local_base::terminal::Failed;

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Failed {
    Failed(format!("can't write {}: {error}; make the folder writable", path.display()))
}
