//! Every text that a shell on a host gets to see. All of it is constant: what varies is read from standard input, a line
//! each, so that no data is ever part of a command.
//!
//! The login shell may be any. It is given one word to start, `exec`, and texts in single quotes; so none holds a single
//! quote, an exclamation mark or a new line, which csh takes for itself.

/// What is asked before anything else. Reads a nonce; says it before and after the answers.
pub(super) const PROBE: &str = concat!(
    "exec /bin/sh -c '",
    "LC_ALL=C; export LC_ALL; IFS= read -r n; echo; echo \"$n\"; uname -s; uname -r; uname -m; date +%s; id -u; ",
    "if command -v sudo >/dev/null 2>&1; then ",
    "if sudo -n true >/dev/null 2>&1 </dev/null; then echo free; else echo asks; fi; ",
    "else echo none; fi; echo \"$n\"'"
);

/// One script, run in each way there is. It reads a nonce and four lines of arguments; then it is root, or whoever logged
/// in, and speaks: a line that begins with the nonce.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    /// By whoever logged in.
    pub(super) plain: &'static str,
    /// With `sudo`, which asks nothing.
    pub(super) free: &'static str,
    /// With `sudo`, which asks for a password with the nonce as its prompt.
    pub(super) asked: &'static str,
}

macro_rules! script {
    ($body:expr) => {
        Script {
            plain: script!("", $body),
            free: script!("sudo -n -- ", $body),
            asked: script!("sudo -S -p \"$n\" -- ", $body),
        }
    };
    ($sudo:literal, $body:expr) => {
        concat!(
            "exec /bin/sh -c 'LC_ALL=C; export LC_ALL; ",
            "for v in n a b c d; do IFS= read -r \"$v\" || exit 64; done; exec ",
            $sudo,
            "/bin/sh -c \"$1\" sh \"$n\" \"$a\" \"$b\" \"$c\" \"$d\"' sh '",
            $body,
            "'"
        )
    };
}

/// Takes a file. Arguments: its SHA-256, its length, its path, its mode. Says `same` if it is there already, or how many
/// bytes are; then reads the others, and says `done` when it is in its place.
///
/// What is there of it lies beside its place, so that the last step is a rename; a cut link leaves it for the next time,
/// a full disk does not. It is copied before more is added: the server of a link that was cut notices nothing for hours,
/// and so long the script before this one has the old file open, which can neither be trusted nor be run. File systems in
/// memory without a limit say that they have no blocks at all.
macro_rules! take {
    () => {
        "umask 077; t=\"$4.$2.part\"; \
         if [ -d \"$4\" ]; then echo \"$4 is a directory; name the file\" >&2; exit 73; fi; \
         if [ -f \"$4\" ] && [ \"$(sha256sum <\"$4\" | cut -c1-64)\" = \"$2\" ]; then \
         chmod \"$5\" \"$4\" || exit 1; rm -f \"$t\"; echo; echo \"$1 same\"; else \
         if [ -L \"$t\" ]; then rm -f \"$t\"; fi; w=0; \
         if [ -f \"$t\" ]; then \
         if cp \"$t\" \"$t.new\" && mv -f -T \"$t.new\" \"$t\"; then w=$(stat -c %s \"$t\") || exit 1; \
         else rm -f \"$t\" \"$t.new\"; fi; fi; \
         if [ \"$w\" -gt \"$3\" ]; then rm -f \"$t\"; w=0; fi; \
         touch \"$t\" || exit 73; \
         r=$(stat -f -c \"%b==0?$3:%a*%S\" \"$t\") || r=$3; r=$(($r)); \
         if [ \"$r\" -lt \"$(($3 - w))\" ]; then [ \"$w\" -gt 0 ] || rm -f \"$t\"; \
         echo \"$(($3 - w)) bytes are to come, and there is room for $r\" >&2; exit 74; fi; \
         echo; echo \"$1 $w\"; \
         head -c \"$(($3 - w))\" >>\"$t\" || { rm -f \"$t\"; exit 74; }; \
         if [ \"$(stat -c %s \"$t\")\" -lt \"$3\" ]; then exit 75; fi; \
         if [ \"$(sha256sum <\"$t\" | cut -c1-64)\" = \"$2\" ]; then :; else \
         rm -f \"$t\"; echo \"what arrived is not what was sent\" >&2; exit 65; fi; \
         chmod \"$5\" \"$t\" && sync \"$t\" && mv -f -T \"$t\" \"$4\" || exit 1; echo \"$1 done\"; fi; "
    };
}

/// Runs what a person typed. Arguments: its length in bytes. Then its text; then names of signals, a line each, for it and
/// all that it has started. Who hears them has the same rights as the command, and ends with the link.
pub(super) const RUN: Script = script!(
    "echo; echo \"$1\"; s=$(head -c \"$2\") || exit 1; exec 3<&0; \
     (trap \"\" TERM; while IFS= read -r w; do kill -s \"$w\" 0; done) <&3 3<&- >/dev/null 2>&1 & \
     exec /bin/sh -c \"$s\" </dev/null 3<&-"
);

/// Nothing but to become root.
pub(super) const NOTHING: Script = script!("echo; echo \"$1\"");

/// Takes a file into a directory that is there.
pub(super) const TAKE: Script = script!(take!());

/// Takes a file into a directory that is made if need be, for root alone.
pub(super) const STORE: Script = script!(concat!("umask 077; mkdir -p \"${4%/*}\" || exit 73; ", take!()));

/// Takes a program in the same way, and becomes it: the remote end of a controller. Whoever logged in cannot change what
/// root has compared. What it starts has the usual umask and finds the usual programs.
pub(super) const AGENT: Script = script!(concat!(
    "umask 077; mkdir -p \"${4%/*}\" || exit 73; ",
    take!(),
    "umask 022; cd /; PATH=\"$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"; export PATH; ",
    "exec \"$4\" agent \"$1\""
));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_shell_can_read_them() {
        let scripts =
            [RUN, NOTHING, TAKE, STORE, AGENT].map(|script| [script.plain, script.free, script.asked]);
        for text in scripts.iter().flatten().chain([&PROBE]) {
            let bodies: Vec<_> = text.split('\'').collect();
            // exec /bin/sh -c '…', and one more text in quotes where there is a script.
            assert!(matches!(bodies.len(), 3 | 5) && bodies.last() == Some(&""), "{text}");
            assert!(!text.contains(['!', '\n']), "{text}");
        }
    }
}
