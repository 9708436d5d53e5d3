//! Programs for packages: a package must hold programs for a processor, and tests want scripts.

/// A program for `x86_64` that has `/bin/sh` run `script`, with its own arguments. It is all there is in the file: an ELF header,
/// one segment (elf(5)), and code that puts three words before the arguments that it was started with.
pub fn program(script: &str) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    #[rustfmt::skip]
    const CODE: [u8; 48] = [
        0x48, 0x8b, 0x0c, 0x24,             // mov rcx, [rsp]: how many arguments there are
        0x48, 0x8d, 0x54, 0xcc, 0x10,       // lea rdx, [rsp + rcx * 8 + 16]: the environment
        0x48, 0x8d, 0x05, 43, 0, 0, 0,      // lea rax, [script]
        0x48, 0x89, 0x04, 0x24,             // mov [rsp], rax
        0x48, 0x8d, 0x05, 29, 0, 0, 0,      // lea rax, ["-c"]
        0x50,                               // push rax
        0x48, 0x8d, 0x3d, 13, 0, 0, 0,      // lea rdi, ["/bin/sh"]
        0x57,                               // push rdi
        0x48, 0x89, 0xe6,                   // mov rsi, rsp
        0xb8, 59, 0, 0, 0,                  // mov eax, 59: execve
        0x0f, 0x05,                         // syscall
        0x0f, 0x0b,                         // ud2
    ];
    let size = HEADERS + CODE.len() as u64 + 11 + script.len() as u64 + 1;
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [BASE + HEADERS, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    // It is loaded as a whole, to be read and run.
    bytes.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, BASE, BASE, size, size, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(CODE);
    bytes.extend(b"/bin/sh\0-c\0");
    bytes.extend(script.as_bytes());
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn it_runs_its_script_with_its_arguments() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hello");
        fs::write(&path, super::program("echo \"$# $2\"; exit 7")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let output = Command::new(&path).args(["one", "two words"]).output().unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(7), &b"2 two words\n"[..]));
    }
}
