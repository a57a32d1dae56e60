//! `profile`: a whole staging run from one file, with thresholds and an exit code for pipelines.
//!
//! Each step is this program again, in a process of its own, so a step sees no leftovers of the one before. What it
//! found is read back from its file. Invariant: exit code 0 means that every step ran and every threshold was kept.

mod error;
mod file;
mod thresholds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::interrupt;
use crate::invocation;
use crate::report::{html, json};
use crate::results::Results;
use error::ProfileError;
use file::{Profile, Step};
use thresholds::Outcome;

/// The exit code of a run in which a threshold was broken.
const BROKEN: u8 = 2;
const DEFAULT_FOLDER: &str = "loadtest-report";

/// Which profile, and what of it.
#[derive(clap::Args)]
pub struct Options {
    /// The profile, TOML.
    profile: PathBuf,
    /// Folder for the files of the steps; `report_dir` of the profile if it is not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run this step only.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Print the commands and run nothing.
    #[arg(long)]
    dry_run: bool,
}

/// How a step ended.
#[derive(Debug)]
enum Ended {
    /// With findings, held against the thresholds.
    Checked(Vec<Outcome>),
    /// Without findings that can be believed; why.
    NotRun(String),
}

/// Runs a profile and gives the exit code: 0 all kept, 1 something could not be run, 2 a threshold was broken.
pub fn run(options: &Options, program: &clap::Command) -> Result<ExitCode, ProfileError> {
    let text = fs::read_to_string(&options.profile)
        .map_err(|error| ProfileError::Unreadable { path: options.profile.clone(), error })?;
    let mut profile = file::parse(&text, program)?;
    if let Some(name) = &options.only {
        keep_only(&mut profile, name)?;
    }
    let folder = options.out.clone().or_else(|| profile.report_dir.clone().map(PathBuf::from));
    let folder = folder.unwrap_or_else(|| DEFAULT_FOLDER.into());
    let this = std::env::current_exe().map_err(ProfileError::System)?;
    if options.dry_run {
        for step in &profile.steps {
            let words = [invocation::PROGRAM.to_owned()].into_iter().chain(words(step, &folder));
            println!("{}", invocation::line(words));
        }
        return Ok(ExitCode::SUCCESS);
    }
    fs::create_dir_all(&folder).map_err(ProfileError::System)?;
    // Ctrl-C reaches the step as well, which ends in order; only what follows is left to be stopped here.
    let interrupted = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&interrupted);
    interrupt::watch(move || noted.swap(true, Ordering::Relaxed)).map_err(ProfileError::System)?;
    let mut ended = Vec::new();
    for step in &profile.steps {
        println!("== {}", step.name);
        let how = match interrupted.load(Ordering::Relaxed) {
            true => Ended::NotRun("interrupted".to_owned()),
            false => run_step(&this, step, &folder)?,
        };
        ended.push((step.name.as_str(), how));
    }
    print!("\n{}", table(&ended));
    Ok(exit_code(&ended))
}

fn keep_only(profile: &mut Profile, name: &str) -> Result<(), ProfileError> {
    let steps: Vec<String> = profile.steps.iter().map(|step| step.name.clone()).collect();
    if !steps.iter().any(|step| step == name) {
        return Err(ProfileError::NoSuchStep { name: name.to_owned(), steps });
    }
    profile.steps.retain(|step| step.name == name);
    Ok(())
}

fn findings(step: &Step, folder: &Path) -> PathBuf {
    folder.join(format!("{}.json", step.name))
}

fn words(step: &Step, folder: &Path) -> impl Iterator<Item = String> {
    let json = format!("--json={}", findings(step, folder).display());
    step.words.clone().into_iter().chain([json])
}

/// Runs one step and draws its page.
fn run_step(program: &Path, step: &Step, folder: &Path) -> Result<Ended, ProfileError> {
    let path = findings(step, folder);
    // Findings of an earlier run must not pass for those of this one.
    if path.exists() {
        fs::remove_file(&path).map_err(ProfileError::System)?;
    }
    let status = Command::new(program).args(words(step, folder)).status().map_err(ProfileError::System)?;
    if !path.exists() {
        return Ok(Ended::NotRun(format!("{status}, without findings")));
    }
    let results = json::read(&path).map_err(ProfileError::File)?;
    json::keep(&path.with_extension("html"), &html::page(&results)).map_err(ProfileError::File)?;
    Ok(judge(step, &results, status.success()))
}

fn judge(step: &Step, results: &Results, succeeded: bool) -> Ended {
    if !succeeded && results.faults_total == 0 {
        return Ended::NotRun("the run failed for another reason than faults; see above".to_owned());
    }
    Ended::Checked(thresholds::check(&step.thresholds, results))
}

fn exit_code(ended: &[(&str, Ended)]) -> ExitCode {
    if ended.iter().any(|(_, ended)| matches!(ended, Ended::NotRun(_))) {
        return ExitCode::FAILURE;
    }
    let kept = |ended: &Ended| matches!(ended, Ended::Checked(all) if all.iter().all(Outcome::is_passed));
    if ended.iter().all(|(_, ended)| kept(ended)) { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

fn table(ended: &[(&str, Ended)]) -> String {
    let mut text = format!("{:<18}{:<32}{:>13}{:>13}\n", "run", "threshold", "value", "bound");
    for (name, ended) in ended {
        match ended {
            Ended::NotRun(why) => text += &format!("{name:<18}could not be run: {why}\n"),
            Ended::Checked(outcomes) => {
                for outcome in outcomes {
                    let told = if outcome.is_passed() { "pass" } else { "FAIL" };
                    let (value, bound) = (outcome.value_text(), outcome.bound_text());
                    text +=
                        &format!("{name:<18}{:<32}{value:>13}{bound:>13}  {told}\n", outcome.threshold.name);
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;
    use thresholds::Threshold;

    fn step(bound: f64) -> Step {
        let thresholds = vec![Threshold { name: "rate_per_s_min".into(), bound }];
        Step { name: "calls".into(), words: vec!["ring".into()], thresholds }
    }

    /// A folder and in it a program that copies findings to where --json says, and ends with a code.
    fn stand_in(name: &str, code: u8) -> (PathBuf, PathBuf) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("systemx-profile-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        json::write(&folder.join("kept"), &sample()).expect("likewise");
        let program = folder.join("stand-in");
        let script = format!(
            "#!/bin/sh\n[ $# = 2 ] && cp \"$(dirname \"$0\")/kept\" \"${{2#--json=}}\"\nexit {code}\n"
        );
        fs::write(&program, script).expect("likewise");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        (folder, program)
    }

    #[test]
    fn a_step_is_run_read_back_checked_and_drawn() {
        let (folder, program) = stand_in("good", 0);
        let ended = run_step(&program, &step(1_000.0), &folder).expect("it runs");
        assert!(folder.join("calls.html").exists());
        let all = [("calls", ended)];
        assert_eq!(exit_code(&all), ExitCode::SUCCESS);
        let table = table(&all);
        assert!(
            table.contains("rate_per_s_min") && table.contains("faults_max") && !table.contains("FAIL"),
            "{table}"
        );
        let broken = [("calls", run_step(&program, &step(1e9), &folder).expect("it runs"))];
        assert_eq!(exit_code(&broken), ExitCode::from(BROKEN));
        fs::remove_dir_all(folder).expect("it is ours");
    }

    #[test]
    fn a_failed_run_is_no_pass_whatever_it_found() {
        let (folder, program) = stand_in("failed", 3);
        let ended = run_step(&program, &step(1.0), &folder).expect("it runs");
        assert_eq!(exit_code(&[("calls", ended)]), ExitCode::FAILURE);
        fs::remove_dir_all(folder).expect("it is ours");
    }

    #[test]
    fn findings_of_an_earlier_run_do_not_count() {
        let (folder, _) = stand_in("stale", 0);
        json::write(&folder.join("calls.json"), &sample()).expect("it can be written");
        let ended = run_step(Path::new("/bin/true"), &step(1.0), &folder).expect("it runs");
        assert!(matches!(ended, Ended::NotRun(_)), "{ended:?}");
        fs::remove_dir_all(folder).expect("it is ours");
    }

    #[test]
    fn one_step_can_be_chosen() {
        let mut profile = Profile { report_dir: None, steps: vec![step(1.0)] };
        assert!(keep_only(&mut profile, "calls").is_ok() && profile.steps.len() == 1);
        let said = keep_only(&mut profile, "call").expect_err("there is none").to_string();
        assert!(said.contains("Did you mean `calls`?"), "{said}");
    }
}
