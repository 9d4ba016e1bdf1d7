//! `weir plan`.

/// Options of `weir plan`.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: &Args) -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}
