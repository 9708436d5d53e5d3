//! The peers' configuration files: the same three servers behind the same address for each.

use std::fs;

use crate::daemon::VIP;
use crate::lab::Lab;

/// keepalived's IPVS checker, with these settings in its virtual server.
pub(super) fn keepalived(lab: &Lab, settings: &str) -> Vec<String> {
    let vip = VIP.replace(':', " ");
    let servers = servers(lab, |_, address| {
        let address = address.replace(':', " ");
        format!(
            "real_server {address} {{\nweight 1\nSSL_GET {{\nurl {{\npath /healthz\nstatus_code 200\n}}\n}}\n}}\n"
        )
    });
    let file = write(
        lab,
        "keepalived.conf",
        &format!("virtual_server {vip} {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n{settings}\n{servers}}}\n"),
    );
    // Several of them run in one guest, each in a network namespace of its own but all in one file system.
    let (parent, checker) = (format!("{file}.pid"), format!("{file}.checker.pid"));
    words(&["/usr/sbin/keepalived", "-n", "-C", "-G", "-f", &file, "-p", &parent, "-c", &checker])
}

/// haproxy passing TCP on, with these settings for each server and for all time-outs of connections.
pub(super) fn haproxy(lab: &Lab, settings: &str, limit: &str) -> Vec<String> {
    let servers = servers(lab, |name, address| format!("server {name} {address} {settings}\n"));
    let file = write(
        lab,
        "haproxy.cfg",
        &format!(
            "defaults\nmode tcp\noption redispatch\ntimeout connect {limit}\ntimeout check {limit}\n\
             timeout client 1h\ntimeout server 1h\n\
             frontend vip\nbind {VIP}\ndefault_backend apiservers\n\
             backend apiservers\nbalance roundrobin\noption httpchk GET /healthz\nhttp-check expect status 200\n{servers}"
        ),
    );
    words(&["/usr/sbin/haproxy", "-db", "-f", &file])
}

/// nginx passing TCP on, set as in kubespray.
pub(super) fn nginx(lab: &Lab) -> Vec<String> {
    let servers = servers(lab, |_, address| format!("server {address};\n"));
    let file = write(
        lab,
        "nginx.conf",
        &format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
             user root;\ndaemon off;\nworker_processes 1;\npid {directory}/nginx.pid;\nerror_log stderr;\n\
             events {{ worker_connections 4096; }}\n\
             stream {{\nupstream apiservers {{\n{servers}}}\n\
             server {{ listen {VIP}; proxy_pass apiservers; proxy_connect_timeout 1s; proxy_timeout 10m; }}\n}}\n",
            directory = lab.directory().display(),
        ),
    );
    words(&["/usr/sbin/nginx", "-c", &file])
}

/// ldirectord, with these global settings.
pub(super) fn ldirectord(lab: &Lab, settings: &str) -> Vec<String> {
    // Its lists are told apart by indentation.
    let servers = servers(lab, |_, address| format!("\treal={address} masq\n"));
    let file = write(
        lab,
        "ldirectord.cf",
        &format!(
            "{settings}supervised=yes\nautoreload=no\nvirtual={VIP}\n{servers}\tscheduler=rr\n\tprotocol=tcp\n\
             \tservice=https\n\tchecktype=negotiate\n\trequest=\"healthz\"\n\treceive=\"ok\"\n",
        ),
    );
    // It cannot be told not to verify certificates.
    let ca = format!("PERL_LWP_SSL_CA_FILE={}", lab.pki.ca().display());
    words(&["env", &ca, "/usr/sbin/ldirectord", &file, "start"])
}

/// One entry for each server, all in one text.
fn servers(lab: &Lab, entry: impl Fn(&str, &str) -> String) -> String {
    lab.masters().iter().map(|master| entry(master.name(), &master.address().to_string())).collect()
}

fn write(lab: &Lab, name: &str, text: &str) -> String {
    let path = lab.directory().join(name);
    fs::write(&path, text).expect("the laboratory's directory is ours");
    path.to_str().expect("paths of ours are text").to_owned()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
