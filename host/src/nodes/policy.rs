//! Which commands a node may be asked for: by the kind of system it runs on, and by
//! `gateway.nodes`. What can do harm is off until the operator names it.

use crate::config::NodesConfig;

/// The kind of system a node runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// iPhone and iPad.
    Ios,
    /// Android.
    Android,
    /// macOS.
    Macos,
    /// Linux and Windows.
    Desktop,
    /// Anything else.
    Unknown,
}

const CANVAS: [&str; 8] = [
    "canvas.present",
    "canvas.hide",
    "canvas.navigate",
    "canvas.eval",
    "canvas.snapshot",
    "canvas.a2ui.push",
    "canvas.a2ui.pushJSONL",
    "canvas.a2ui.reset",
];
/// What every device with a person before it may be asked for.
const PERSONAL: [&str; 10] = [
    "camera.list",
    "location.get",
    "device.info",
    "device.status",
    "contacts.search",
    "calendar.events",
    "reminders.list",
    "photos.latest",
    "motion.activity",
    "motion.pedometer",
];
const ANDROID: [&str; 4] = [
    "notifications.list",
    "notifications.actions",
    "device.permissions",
    "device.health",
];
const PROGRAMS: [&str; 4] = [
    "system.run.prepare",
    "system.run",
    "system.which",
    "browser.proxy",
];
const NOTIFY: &[&str] = &["system.notify"];
const UNKNOWN: &[&str] = &["camera.list", "location.get"];

impl Class {
    /// By the platform's beginning, else by what the device's kind contains.
    pub fn of(platform: &str, family: Option<&str>) -> Class {
        let plain = |text: &str| text.trim().to_lowercase();
        let platform = plain(platform);
        for (start, class) in [
            ("ios", Class::Ios),
            ("android", Class::Android),
            ("mac", Class::Macos),
            ("darwin", Class::Macos),
            ("win", Class::Desktop),
            ("linux", Class::Desktop),
        ] {
            if platform.starts_with(start) {
                return class;
            }
        }
        let family = plain(family.unwrap_or_default());
        for (part, class) in [
            ("iphone", Class::Ios),
            ("ipad", Class::Ios),
            ("ios", Class::Ios),
            ("android", Class::Android),
            ("mac", Class::Macos),
            ("windows", Class::Desktop),
            ("linux", Class::Desktop),
        ] {
            if family.contains(part) {
                return class;
            }
        }
        Class::Unknown
    }

    fn defaults(self) -> &'static [&'static [&'static str]] {
        match self {
            Class::Ios => &[&CANVAS, &PERSONAL, NOTIFY],
            Class::Android => &[&CANVAS, &PERSONAL, &ANDROID, NOTIFY],
            Class::Macos => &[&CANVAS, &PERSONAL, &PROGRAMS, NOTIFY],
            Class::Desktop => &[&PROGRAMS, NOTIFY],
            Class::Unknown => &[&CANVAS, UNKNOWN, NOTIFY],
        }
    }
}

/// Whether such a node may be asked for `command`. What is denied stays denied.
pub fn allows(config: &NodesConfig, class: Class, command: &str) -> bool {
    let named = |list: &[String]| list.iter().any(|one| one.trim() == command);
    let usual = class.defaults().iter().any(|set| set.contains(&command));
    (usual || named(&config.allow_commands)) && !named(&config.deny_commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_told_by_platform_then_by_family() {
        for (platform, family, class) in [
            ("iOS 18.3.1", None, Class::Ios),
            ("iPadOS 18", Some("iPad"), Class::Ios),
            ("iphone", None, Class::Unknown),
            ("Darwin 24", None, Class::Macos),
            (" Windows 11", None, Class::Desktop),
            ("linux 6.1", Some("Mac"), Class::Desktop),
            ("", Some("Android phone"), Class::Android),
            ("plan9", Some("terminal"), Class::Unknown),
        ] {
            assert_eq!(Class::of(platform, family), class, "{platform} {family:?}");
        }
    }

    #[test]
    fn harm_is_off_until_it_is_named_and_no_wins() {
        let mut config = NodesConfig::default();
        assert!(allows(&config, Class::Desktop, "system.run"));
        assert!(!allows(&config, Class::Ios, "system.run"));
        assert!(!allows(&config, Class::Desktop, "canvas.present"));
        assert!(!allows(&config, Class::Macos, "camera.snap"));
        config.allow_commands = vec!["camera.snap".into(), "system.which".into()];
        assert!(allows(&config, Class::Desktop, "camera.snap"));
        config.deny_commands = vec![" system.which".into(), "system.run".into()];
        assert!(!allows(&config, Class::Desktop, "system.which"));
        assert!(!allows(&config, Class::Macos, "system.run"));
    }
}
