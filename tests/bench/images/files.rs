//! The files that become images: a folder of many small ones, as a web site has, and a program.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::Words;
use crate::contender::Contender;
use crate::proxy::Proxy;

/// The mean size of a small file: 10,000 of them have 41 MB.
const MEAN_BYTES: usize = 4100;

const PROGRAM_BYTES: usize = 1_000_000;

/// A project, with what each contender needs to build it.
pub(crate) struct Project {
    folder: TempDir,
    /// `127.0.0.1:1234/bench-7`.
    pub(crate) registry: String,
}

impl Project {
    pub(crate) fn new(words: &Words, run: usize, proxy: &Proxy) -> anyhow::Result<Self> {
        let seed = u64::from(std::process::id()) << 16 | run as u64;
        let folder = tempfile::tempdir()?;
        let project = Self { folder, registry: format!("127.0.0.1:{}/bench-{seed}", proxy.port()) };
        let mut random = fastrand::Rng::with_seed(seed);
        let vocabulary: Vec<String> = (0..4000).map(|_| word(&mut random)).collect();
        for n in 0..words.files {
            let path = project.path(&format!("tree/{:03}/{n}.js", n / 50));
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, text(&mut random, &vocabulary))?;
        }
        // A real program, and a few bytes that make it another one in every run.
        let mut program = fs::read(&words.tool)?;
        program.truncate(PROGRAM_BYTES);
        program.extend(seed.to_le_bytes());
        fs::create_dir_all(project.path("bin"))?;
        fs::write(project.path("bin/app"), program)?;
        fs::write(
            project.path("Dockerfile"),
            "FROM scratch\nCOPY tree /srv/\nCOPY bin/app /app/\nENTRYPOINT [\"/app/app\"]\n",
        )?;
        for (name, compression) in [("gzip", "gzip"), ("zstd", "zstd")] {
            let yaml = format!(
                "project: bench-{name}\nregistry: {}\nservices:\n  {name}:\n    image:\n      base: scratch\n      \
                 compression: {compression}\n      layers: [{{from: tree, to: /srv}}, {{from: bin/app, to: /app/}}]\n      \
                 entrypoint: [/app/app]\n",
                project.registry
            );
            fs::write(project.path(&format!("{name}.yaml")), yaml)?;
        }
        // Files as old as those of a checkout are: what is seconds old is looked at again.
        std::thread::sleep(std::time::Duration::from_secs(3));
        Ok(project)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// An edit of one small file in the middle, which makes it longer.
    pub(crate) fn change_one_file(&self) -> anyhow::Result<()> {
        let folder = self.path("tree/000");
        let path = fs::read_dir(folder)?.next().context("a file")??.path();
        let mut text = fs::read_to_string(&path)?;
        text.push_str("// one more line\n");
        Ok(fs::write(path, text)?)
    }

    /// Leaves nothing in engines that are not ours.
    pub(crate) fn remove_images(&self, contenders: &[Contender]) {
        for contender in contenders {
            contender.forget(self);
        }
    }
}

fn word(random: &mut fastrand::Rng) -> String {
    (0..random.usize(2..11)).map(|_| random.lowercase()).collect()
}

/// Lines of words, the first of the vocabulary more often than the last, with numbers and signs between them, as source
/// text has them.
fn text(random: &mut fastrand::Rng, vocabulary: &[String]) -> String {
    let length = random.usize(MEAN_BYTES / 4..MEAN_BYTES * 7 / 4);
    let mut text = String::with_capacity(length + 64);
    while text.len() < length {
        for _ in 0..random.usize(0..4) {
            text.push_str("  ");
        }
        for _ in 0..random.usize(2..9) {
            let share = random.f64();
            // In the range of the vocabulary.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of a small number"
            )]
            let at = (share * share * share * vocabulary.len() as f64) as usize;
            text.push_str(&vocabulary[at]);
            text.push_str([" ", ".", "(", ") ", " = ", ", "][random.usize(..6)]);
        }
        let _ = writeln!(text, "{};", random.u32(..100_000));
    }
    text
}
