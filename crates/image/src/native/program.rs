//! What a program needs besides itself: the shared libraries it names, those that they name, and the loader.
//!
//! Found as the loader of this machine finds them, for an image on nothing: its own paths (`RPATH`, `RUNPATH`), then the
//! folders every loader knows. Files are read where the format says ([System V ABI](https://gabi.xinuos.com/), "Dynamic
//! Linking"), not run: `ldd` runs them. What a program opens by name while it runs cannot be seen in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::ReadCache;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind, ReadRef};

use release_core::Platform;

/// More libraries than any program has; a circle ends by itself.
const MAX_LIBRARIES: usize = 1000;

/// A file that a program needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needed {
    /// Where it is in an image, without the first `/`.
    pub(crate) path: String,
    /// Where it is on this machine, free of links.
    pub(crate) disk: PathBuf,
}

/// Why it cannot be known what a program needs.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The program, or a library of it, cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no program for Linux, or not a whole one.
    #[error("`{}` is no ELF program: {why}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is for another processor than the image.
    #[error("`{}` is a program for {found}, and the image is for {wanted}", path.display())]
    Processor {
        /// The program.
        path: PathBuf,
        /// The processor it is for.
        found: &'static str,
        /// The one of the image.
        wanted: String,
    },
    /// A library is nowhere to be found for the program's processor.
    #[error("`{}` needs `{library}`, which is not on this machine", path.display())]
    Missing {
        /// Who needs it.
        path: PathBuf,
        /// Its name.
        library: String,
    },
}

/// Whether a program is for the platform's processor, as far as the processor is one we know: the image would start nowhere.
pub(crate) fn fits(program: &Path, platform: &Platform) -> Result<(), ProgramError> {
    let Some(wanted) = machine_of(&platform.architecture) else { return Ok(()) };
    let (found, _) = read(program)?.machine;
    if found == wanted {
        return Ok(());
    }
    Err(ProgramError::Processor {
        path: program.to_owned(),
        found: ARCHITECTURES
            .iter()
            .find(|(_, machine)| *machine == found)
            .map_or("another", |(name, _)| *name),
        wanted: platform.architecture.clone(),
    })
}

/// The names of processors as images have them, those of [Go](https://go.dev/doc/install/source#environment), and as programs
/// have them.
const ARCHITECTURES: &[(&str, u16)] = &[
    ("amd64", elf::EM_X86_64),
    ("arm64", elf::EM_AARCH64),
    ("386", elf::EM_386),
    ("arm", elf::EM_ARM),
    ("riscv64", elf::EM_RISCV),
    ("ppc64le", elf::EM_PPC64),
    ("s390x", elf::EM_S390),
];

fn machine_of(architecture: &str) -> Option<u16> {
    ARCHITECTURES.iter().find(|(name, _)| *name == architecture).map(|(_, machine)| *machine)
}

/// What a file says about what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dynamic {
    /// The processor, and whether its addresses have 64 bits.
    machine: (u16, bool),
    interpreter: Option<String>,
    libraries: Vec<String>,
    /// Folders to look in first; `$ORIGIN` in them is the file's own folder.
    paths: Vec<String>,
}

/// Everything `program` needs, sorted; nothing when it is linked statically.
pub(crate) fn needed(program: &Path) -> Result<Vec<Needed>, ProgramError> {
    let first = read(program)?;
    let Some(interpreter) = &first.interpreter else { return Ok(Vec::new()) };
    let mut found = BTreeMap::new();
    put(&mut found, interpreter, Path::new(interpreter))
        .map_err(|_| ProgramError::Missing { path: program.to_owned(), library: interpreter.clone() })?;
    let mut seen: BTreeSet<String> = BTreeSet::from_iter(name_of(Path::new(interpreter)));
    let machine = first.machine;
    let mut open = vec![(program.to_owned(), first)];
    while let Some((path, dynamic)) = open.pop() {
        for library in &dynamic.libraries {
            if !seen.insert(library.clone()) {
                continue;
            }
            let (place, disk, inner) = find(&path, &dynamic, library, machine)?;
            put(&mut found, &place, &disk)
                .map_err(|source| ProgramError::Read { path: disk.clone(), source })?;
            open.push((disk, inner));
        }
        if seen.len() > MAX_LIBRARIES {
            let why = format!("it needs more than {MAX_LIBRARIES} libraries");
            return Err(ProgramError::Form { path: program.to_owned(), why });
        }
    }
    Ok(found.into_iter().map(|(path, disk)| Needed { path, disk }).collect())
}

fn put(found: &mut BTreeMap<String, PathBuf>, place: &str, disk: &Path) -> io::Result<()> {
    found.insert(place.trim_start_matches('/').to_owned(), disk.canonicalize()?);
    Ok(())
}

fn name_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

/// Where a library is in the image and on disk, and what it needs itself.
fn find(
    by: &Path,
    dynamic: &Dynamic,
    library: &str,
    machine: (u16, bool),
) -> Result<(String, PathBuf, Dynamic), ProgramError> {
    let usual = usual_folders(machine);
    let origin = by.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let own = dynamic.paths.iter().map(|path| path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin));
    let own = own.map(|folder| (folder, false));
    for (folder, known) in own.chain(usual.iter().map(|folder| (folder.clone(), true))) {
        let disk = Path::new(&folder).join(library);
        // Libraries for other processors are passed over, as the loader does.
        let Ok(inner) = read(&disk) else { continue };
        if inner.machine == machine {
            // The loader in the image looks in the folders every loader knows; a program's own may be nowhere there.
            let folder = if known { &folder } else { &usual[0] };
            return Ok((format!("{folder}/{library}"), disk, inner));
        }
    }
    Err(ProgramError::Missing { path: by.to_owned(), library: library.to_owned() })
}

/// The folders the loader of a processor looks in without being told, those of Debian and its relatives first.
fn usual_folders((machine, wide): (u16, bool)) -> Vec<String> {
    let triplet = match machine {
        elf::EM_X86_64 => Some("x86_64-linux-gnu"),
        elf::EM_AARCH64 => Some("aarch64-linux-gnu"),
        elf::EM_386 => Some("i386-linux-gnu"),
        elf::EM_ARM => Some("arm-linux-gnueabihf"),
        elf::EM_RISCV => Some("riscv64-linux-gnu"),
        _ => None,
    };
    let of_triplet = |folder: &str| triplet.map(|triplet| format!("{folder}/{triplet}"));
    let wide = |folder: &str| wide.then(|| folder.to_owned());
    let plain = |folder: &str| Some(folder.to_owned());
    [
        of_triplet("/lib").filter(|folder| Path::new(folder).is_dir()),
        of_triplet("/usr/lib").filter(|folder| Path::new(folder).is_dir()),
        wide("/lib64"),
        wide("/usr/lib64"),
        plain("/lib"),
        plain("/usr/lib"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Reads the few places of a file that say what it needs.
fn read(path: &Path) -> Result<Dynamic, ProgramError> {
    let file = File::open(path).map_err(|source| ProgramError::Read { path: path.to_owned(), source })?;
    let data = ReadCache::new(file);
    let form = |why: String| ProgramError::Form { path: path.to_owned(), why };
    match FileKind::parse(&data).map_err(|error| form(error.to_string()))? {
        FileKind::Elf64 => dynamic::<FileHeader64<Endianness>, _>(&data, true),
        FileKind::Elf32 => dynamic::<FileHeader32<Endianness>, _>(&data, false),
        _ => return Err(form("it is of another kind".to_owned())),
    }
    .map_err(|error| form(error.to_string()))
}

fn dynamic<'data, Elf, R>(data: R, wide: bool) -> object::read::Result<Dynamic>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let mut found = Dynamic {
        machine: (header.e_machine(endian), wide),
        interpreter: None,
        libraries: Vec::new(),
        paths: Vec::new(),
    };
    for segment in header.program_headers(endian, data)? {
        if let Some(interpreter) = segment.interpreter(endian, data)? {
            found.interpreter = Some(text(interpreter));
        }
    }
    let sections = header.sections(endian, data)?;
    let Some((entries, strings)) = sections.dynamic(endian, data)? else { return Ok(found) };
    let strings = sections.strings(endian, data, strings)?;
    for entry in entries {
        match entry.tag(endian) {
            elf::DT_NULL => break,
            elf::DT_NEEDED => found.libraries.push(text(entry.string(endian, strings)?)),
            elf::DT_RPATH | elf::DT_RUNPATH => {
                let paths = text(entry.string(endian, strings)?);
                found.paths.extend(paths.split(':').filter(|path| !path.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    /// The judge is the loader itself, asked about the program that runs this test.
    #[test]
    fn it_is_what_the_loader_of_this_machine_would_load() {
        let program = std::env::current_exe().unwrap();
        let out = Command::new("ldd").arg(&program).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, and the loader as a path alone.
        let expected: BTreeSet<PathBuf> = said
            .lines()
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
            .map(|path| Path::new(path).canonicalize().unwrap())
            .collect();
        let found = needed(&program).unwrap();
        assert!(expected.len() >= 3, "{said}");
        assert_eq!(found.iter().map(|needed| needed.disk.clone()).collect::<BTreeSet<_>>(), expected);
        assert!(found.iter().all(|needed| !needed.path.starts_with('/') && needed.path.contains("lib")));
    }

    #[test]
    fn a_program_that_needs_nothing_is_known_and_others_are_no_programs() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("main.rs");
        std::fs::write(&source, "fn main() {}").unwrap();
        let program = dir.path().join("static");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let built = Command::new(rustc)
            .args(["-C", "target-feature=+crt-static", "-o"])
            .arg(&program)
            .arg(&source)
            .status()
            .unwrap();
        assert!(built.success());
        assert_eq!(needed(&program).unwrap(), []);
        let error = needed(&source).unwrap_err();
        assert!(matches!(error, ProgramError::Form { .. }), "{error}");
        let half = dir.path().join("half");
        let bytes = std::fs::read("/usr/bin/env").unwrap();
        std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
        let error = needed(&half).unwrap_err();
        assert!(matches!(error, ProgramError::Form { .. }), "{error}");
    }
}
