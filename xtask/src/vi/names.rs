//! From the schema's names to Rust's.

/// Words that Rust keeps for itself and that occur in the schema.
const KEYWORDS: &[&str] = &[
    "type", "self", "use", "ref", "in", "move", "mod", "match", "static", "super", "where", "as",
    "box", "final", "override", "virtual", "async", "dyn", "enum", "fn", "for", "if", "impl",
    "let", "loop", "pub", "return", "struct", "trait", "unsafe", "while", "abstract", "become",
    "do", "macro", "priv", "try", "typeof", "unsized", "yield", "else", "extern", "false", "true",
    "const", "continue", "crate", "break",
];

/// `numCPU` becomes `num_cpu`, `PowerOnVM_Task` becomes `power_on_vm_task`.
pub(crate) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            let before = chars[i - 1];
            let after = chars.get(i + 1).copied().unwrap_or('_');
            // A new word begins at a hump, and at the last capital of a run of them.
            // But `CPUs` is one word: its `s` belongs to the capitals before it.
            let plural = after == 's' && chars.get(i + 2).is_none_or(char::is_ascii_uppercase);
            if before != '_'
                && (!before.is_ascii_uppercase() || (after.is_ascii_lowercase() && !plural))
            {
                out.push('_');
            }
        }
        out.push(c.to_ascii_lowercase());
    }
    if KEYWORDS.contains(&out.as_str()) {
        out.push('_');
    }
    out
}

/// A type's or variant's name: `poweredOn` becomes `PoweredOn`, `PowerOnVM_Task` `PowerOnVmTask`.
pub(crate) fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut start = true;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            start = true;
        } else if start {
            out.push(c.to_ascii_uppercase());
            start = false;
        } else {
            out.push(c);
        }
    }
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, 'V');
    }
    if out == "Self" || out.is_empty() {
        out.push('_');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (schema, rust) in [
            ("numCPU", "num_cpu"),
            ("numCPUs", "num_cpus"),
            ("oneKVolumeAPIsSupported", "one_k_volume_apis_supported"),
            ("memoryMB", "memory_mb"),
            ("PowerOnVM_Task", "power_on_vm_task"),
            ("type", "type_"),
            ("hostName", "host_name"),
            ("IPAddress", "ip_address"),
            ("vnicDevice", "vnic_device"),
        ] {
            assert_eq!(snake(schema), rust);
        }
        for (schema, rust) in [
            ("poweredOn", "PoweredOn"),
            ("PowerOnVM_Task", "PowerOnVMTask"),
            ("self", "Self_"),
            ("802.1x", "V8021x"),
            ("vslmVClockInfo", "VslmVClockInfo"),
        ] {
            assert_eq!(camel(schema), rust);
        }
    }
}
