//! Programs of this machine that a run starts and throws away: where they are, their processes, their directory.
//!
//! Owns that both are gone in the end: each child dies with the process that started it, however that ends (the hidden
//! command `child`); the directory of a run that was killed goes with the next run.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// The program that was named with `flag`, or else the one of this name beside this program.
///
/// # Errors
/// It is not there.
pub(crate) fn find(named: Option<&Path>, name: &str, flag: &str, package: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program, to look for others beside it")?;
    // A build of tests leaves libraries one deeper.
    let places = [own.with_file_name(name), own.with_file_name("deps").join(name)];
    let there = || places.iter().find(|path| path.is_file()).unwrap_or(&places[0]).clone();
    let path = named.map_or_else(there, Path::to_owned);
    ensure!(
        path.is_file(),
        "{} is missing: name it with {flag}, or build it (cargo build --release -p {package})",
        path.display()
    );
    Ok(path)
}

/// A child, which is killed when this is dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// What it says is kept in files of its name. It dies with the thread that calls this.
    pub(crate) fn start(name: &str, mut command: Command, directory: &Path) -> anyhow::Result<Self> {
        let file = |ending: &str| File::create(directory.join(format!("{name}.{ending}")));
        command.stdin(Stdio::null()).stdout(file("out")?).stderr(file("log")?).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Fails with the last line of its log if it has ended.
    pub(crate) fn must_live(&mut self, directory: &Path) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read_to_string(directory.join(format!("{}.log", self.name))).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it logged nothing");
        bail!("{} has ended ({status}): {last}", self.name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A directory that goes with what is in it. It is locked as long as the process lives, so that the next run knows those of
/// runs that were killed, whatever number their process had.
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// A new one whose name is `prefix` and the number of the process. Those of runs that were killed are removed.
    pub(crate) fn make(prefix: &str) -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        remove_dead(&parent, prefix);
        let path = parent.join(format!("{prefix}{}", std::process::id()));
        let made = fs::create_dir(&path).and_then(|()| locked(&path));
        let lock = made.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is a few logs.
        _ = fs::remove_dir_all(&self.path);
    }
}

/// Fails if another process has it.
fn locked(directory: &Path) -> std::io::Result<File> {
    let file = File::open(directory)?;
    file.try_lock()?;
    Ok(file)
}

/// Removes directories of runs whose process is gone. One that another user made stays.
fn remove_dead(parent: &Path, prefix: &str) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        // An earlier version of this program, which locked nothing, may have it.
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = Path::new("/proc").join(name.trim_start_matches(prefix));
        if let Ok(_lock) = locked(&entry.path())
            && !process.exists()
        {
            // What cannot be removed is tried again by the next run.
            _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A command whose process dies with the thread that starts it.
pub(crate) fn child(program: &Path) -> Command {
    let own = std::env::current_exe().unwrap_or_else(|_| "loadgen".into());
    let mut command = Command::new(own);
    command.arg("child").arg(std::process::id().to_string()).arg(program);
    unconfigured(&mut command);
    command
}

/// Leaves what the environment says to nodes out.
pub(crate) fn unconfigured(command: &mut Command) {
    let ours = std::env::vars_os().filter(|(variable, _)| variable.to_string_lossy().starts_with("ROOKERY_"));
    ours.for_each(|(variable, _)| _ = command.env_remove(variable));
}

/// Random bytes in a file that is its owner's alone.
pub(crate) fn secret(path: &Path) -> anyhow::Result<()> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&bytes)?;
    Ok(())
}
