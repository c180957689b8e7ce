//! The distribution's packages that the guest has and the host need not have: which, why, and where they come from.

/// A package, with what it is there for. What it depends on comes along.
pub(super) struct Package {
    pub(super) name: &'static str,
    /// Why the guest has it. Read by people, and by a test.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    pub(super) reason: &'static str,
}

/// One suite of an archive.
pub(super) struct Suite {
    pub(super) archive: &'static str,
    pub(super) suite: &'static str,
}

const fn package(name: &'static str, reason: &'static str) -> Package {
    Package { name, reason }
}

/// The packages by name. apt adds what they need, as far as the host lacks it or has it older.
pub(super) const PACKAGES: &[Package] = &[
    package("mesa-vulkan-drivers", "lavapipe: Vulkan that imports dma-bufs by modifier and takes sync_files"),
    package("libvulkan1", "Vulkan's loader, which programs open at run time"),
    package("vulkan-validationlayers", "Khronos' layers, which check our use of Vulkan"),
    package("vulkan-tools", "vulkaninfo: what the driver offers, told by somebody else's program"),
    package("libgl1-mesa-dri", "llvmpipe, by which OpenGL runs without a GPU"),
    package("libegl-mesa0", "Mesa's EGL, as new as its drivers"),
    package("libegl1", "EGL's entry, which programs open at run time"),
    package("libgles2", "OpenGL ES, as Weston and its clients speak it"),
    package("libgbm1", "buffers for EGL on a card without a window system"),
    package(
        "weston",
        "a stock compositor on virtio-gpu, and stock clients (weston-simple-egl, weston-simple-dmabuf-v4l)",
    ),
];

/// The distribution that these packages are taken from: its `ID` and `VERSION_CODENAME` in /etc/os-release.
pub(super) const DISTRIBUTION: (&str, &str) = ("debian", "bookworm");

const ARCHIVE: &str = "http://deb.debian.org/debian";

/// Where apt looks. Debian 12's own Mesa is 22 and its Weston 10; the backports have 25 and 14.
pub(super) const SUITES: &[Suite] = &[
    Suite { archive: ARCHIVE, suite: "bookworm" },
    Suite { archive: ARCHIVE, suite: "bookworm-updates" },
    Suite { archive: "http://deb.debian.org/debian-security", suite: "bookworm-security" },
    Suite { archive: ARCHIVE, suite: PREFERRED },
];

/// The suite whose versions are taken where several have a package.
pub(super) const PREFERRED: &str = "bookworm-backports";

/// What the archives are signed with: a file of the package `debian-archive-keyring`.
pub(super) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// How much apt fetches on a machine that has little of it, and how much that is unpacked; for the message.
pub(super) const SIZE: &str = "60 to 130 MB, unpacked 230 to 600 MB";

#[cfg(test)]
mod tests {
    use super::{PACKAGES, PREFERRED, SUITES};

    #[test]
    fn every_package_has_a_reason_and_stands_once() {
        assert!(PACKAGES.iter().all(|package| !package.reason.is_empty()));
        let mut names: Vec<_> = PACKAGES.iter().map(|package| package.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PACKAGES.len());
    }

    #[test]
    fn the_preferred_suite_is_among_those_asked() {
        assert!(SUITES.iter().any(|suite| suite.suite == PREFERRED));
    }
}
