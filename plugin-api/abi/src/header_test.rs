//! Holds `include/gateway_plugin.h` against the Rust definitions, and the symbols against
//! abi_stable's. Only compiled for tests.

use crate::{FINGERPRINT, MAGIC, SECTION, SPEC, kind, module, rc};

const HEADER: &str = include_str!("../include/gateway_plugin.h");

/// The header's `typedef struct`s in the words of `SPEC`.
fn structs_of(header: &str) -> Vec<String> {
    let mut out = Vec::new();
    for block in header.split("typedef struct {").skip(1) {
        let (fields, rest) = block
            .split_once("\n} ")
            .expect("a struct ends with its name");
        let name = rest
            .split_once(';')
            .expect("a name ends with a semicolon")
            .0;
        let fields: Vec<String> = fields.split(";").filter_map(|f| field(f.trim())).collect();
        out.push(format!("{}{{{}}}", rust_name(name), fields.join(",")));
    }
    out
}

fn rust_name(c: &str) -> &str {
    match c {
        "gw_slice" => "Slice",
        "gw_blob" => "Blob",
        "gw_frame" => "Frame",
        "gw_host_api" => "HostApi",
        "gw_plugin_api" => "PluginApi",
        "gw_section_header" => "SectionHeader",
        other => panic!("unknown struct {other}"),
    }
}

fn field(line: &str) -> Option<String> {
    if line.is_empty() {
        return None;
    }
    if let Some((result, rest)) = line.split_once("(*") {
        let (name, args) = rest.split_once(")(").expect("a function pointer");
        let args: Vec<String> = args
            .trim_end_matches(')')
            .split(", ")
            .map(|a| type_and_name(a).0)
            .collect();
        let result = match result.trim() {
            "void" => String::new(),
            other => format!("->{}", other.trim_end_matches("_t").replace("int", "i")),
        };
        return Some(format!("{name}:fn({}){result}", args.join(",")));
    }
    let (kind, name) = type_and_name(line);
    Some(format!("{name}:{kind}"))
}

fn type_and_name(text: &str) -> (String, String) {
    let text = text.trim().trim_start_matches("const ");
    let (kind, name) = text.rsplit_once(' ').expect("a type and a name");
    let stars: String = name.chars().take_while(|c| *c == '*').collect();
    let kind = match kind {
        "uint8_t" => "u8",
        "uint16_t" => "u16",
        "uint32_t" => "u32",
        "uint64_t" => "u64",
        "int32_t" => "i32",
        "size_t" => "usize",
        "void" => "void",
        other => rust_name(other),
    };
    (
        format!("{stars}{kind}"),
        name.trim_start_matches('*').to_owned(),
    )
}

#[test]
fn the_c_header_has_the_same_structs() {
    let structs = structs_of(HEADER);
    let spec: Vec<&str> = SPEC
        .lines()
        .filter(|l| l.contains(':') && l.contains('{'))
        .collect();
    assert_eq!(structs[..5], spec[..]);
    assert!(structs[5].starts_with("SectionHeader{magic[16]:u8,abi_major:u16,api_minor:u16,"));
}

#[test]
fn the_c_header_has_the_same_numbers() {
    let defines = [
        ("ABI_MAJOR".to_owned(), crate::ABI_MAJOR.to_string()),
        (
            "FINGERPRINT".to_owned(),
            format!("UINT64_C({FINGERPRINT:#018x})"),
        ),
        ("SECTION".to_owned(), format!("{SECTION:?}")),
    ];
    let kinds = [
        ("REQUEST", kind::REQUEST),
        ("CANCEL", kind::CANCEL),
        ("RESPONSE", kind::RESPONSE),
        ("CREDIT", kind::CREDIT),
        ("EVENT", kind::EVENT),
        ("LOG", kind::LOG),
        ("FATAL", kind::FATAL),
    ];
    let codes = [
        ("OK", rc::OK),
        ("BUSY", rc::BUSY),
        ("CLOSED", rc::CLOSED),
        ("BAD_FRAME", rc::BAD_FRAME),
        ("PANIC", rc::PANIC),
        ("UNSUPPORTED", rc::UNSUPPORTED),
    ];
    let kinds = kinds.map(|(n, v)| (format!("KIND_{n}"), v.to_string()));
    let codes = codes.map(|(n, v)| (format!("RC_{n}"), v.to_string()));
    for (name, value) in defines.into_iter().chain(kinds).chain(codes) {
        let line = format!("#define GW_{name} {value}\n");
        assert!(HEADER.contains(&line), "the header lacks {line:?}");
        let (group, word) = name.split_once('_').unwrap_or((&name, ""));
        if group == "KIND" || group == "RC" {
            assert!(
                SPEC.contains(&format!("{word}={value}")),
                "the spec lacks {word}={value}"
            );
        }
    }
    assert!(MAGIC.starts_with(b"GWPLUGIN-ABI\0\r\n\x1a"));
    assert!(HEADER.contains(r#"#define GW_MAGIC "GWPLUGIN-ABI\0\r\n\x1a""#));
}

#[test]
fn the_root_symbol_is_abi_stables() {
    assert_eq!(
        module::ROOT_SYMBOL,
        abi_stable::library::ROOT_MODULE_LOADER_NAME
    );
}

/// A C compiler lays the structs out as we do; skipped where there is none.
#[test]
fn a_c_compiler_agrees_on_sizes() {
    use crate::table::{FRAME_SIZE, HOST_API_SIZE, PLUGIN_API_SIZE};
    use std::io::Write;
    use std::process::{Command, Stdio};
    let text = format!(
        "{HEADER}\n\
         _Static_assert(sizeof(gw_frame) == {FRAME_SIZE}, \"frame\");\n\
         _Static_assert(offsetof(gw_frame, blob) == 40, \"blob\");\n\
         _Static_assert(sizeof(gw_host_api) == {HOST_API_SIZE}, \"host\");\n\
         _Static_assert(sizeof(gw_plugin_api) == {PLUGIN_API_SIZE}, \"plugin\");\n\
         _Static_assert(sizeof(gw_section_header) == 40, \"section\");\n"
    );
    let args = [
        "-std=c11",
        "-Wall",
        "-Werror",
        "-fsyntax-only",
        "-x",
        "c",
        "-",
    ];
    let Ok(mut cc) = Command::new("cc").args(args).stdin(Stdio::piped()).spawn() else {
        return;
    };
    let mut input = cc.stdin.take().expect("the input is piped");
    input
        .write_all(text.as_bytes())
        .expect("the compiler reads");
    drop(input);
    assert!(cc.wait().expect("the compiler ends").success());
}
