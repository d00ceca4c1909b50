//! Bounds of skills: folders that anybody may have filled.

/// Folders of one place that are looked into, and skills of one agent.
pub const SKILLS_MAX: usize = 200;
/// Largest `SKILL.md`, bytes.
pub const SKILL_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Longest head of a `SKILL.md`, lines.
pub const SKILL_HEAD_LINES_MAX: usize = 200;
/// Longest name of a skill, characters.
pub const SKILL_NAME_CHARS_MAX: usize = 64;
/// Longest description of a skill that models and clients are told, characters.
pub const SKILL_DESCRIPTION_CHARS_MAX: usize = 1_024;
/// All skills in one prompt, characters.
pub const SKILLS_PROMPT_CHARS: usize = 30_000;
/// Longest value that a skill is given, bytes.
pub const SKILL_VALUE_BYTES_MAX: usize = 16 * 1024;
/// Names of one kind that a skill may need: programs, variables, keys, systems.
pub const SKILL_NEEDS_MAX: usize = 32;
