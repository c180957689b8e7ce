//! What Vulkan has on this machine for sharing surfaces: devices, extensions, formats and modifiers.

use handover::{Format, SurfaceUsages};
use handover_vulkan::{Gpu, Options, list};

fn main() -> handover::Result<()> {
    for report in list()? {
        println!("{report}");
        for extension in &report.extensions {
            println!("  {} {:40} {}", if extension.present { '+' } else { '-' }, extension.name, extension.gives);
        }
        println!(
            "  waits for sync_files: {}, gives sync_files: {}",
            report.waits_for_sync_files, report.gives_sync_files
        );
        println!("  shares timelines: {}", report.shares_timelines);
        let gpu = match Gpu::open(&Options { name: Some(report.device.clone()), ..Options::default() }) {
            Ok(gpu) => gpu,
            Err(error) => {
                println!("  {error}");
                continue;
            }
        };
        for format in [Format::XRGB8888, Format::ARGB8888, Format::NV12] {
            for (usage, name) in
                [(SurfaceUsages::RENDER, "render"), (SurfaceUsages::SAMPLE, "sample"), (SurfaceUsages::READ, "read")]
            {
                for support in gpu.supports(format, usage) {
                    println!("  {support}, to {name}");
                }
            }
        }
    }
    Ok(())
}
