//! How a snapshot of etcd is restored, in commands that fit the masters. Pure.

use std::fmt::Write as _;
use std::path::Path;

/// What is known.
#[derive(Debug)]
pub struct Guide<'a> {
    /// etcd's command on this master.
    pub etcd: &'a [String],
    /// Its image.
    pub image: &'a str,
    /// Every member as `NAME=URL`; nothing when etcd does not answer.
    pub peers: Option<Vec<String>>,
    /// The container runtime that answers.
    pub runtime: Option<&'a str>,
    /// The snapshot, if it was named.
    pub snapshot: Option<&'a Path>,
}

impl Guide<'_> {
    fn option(&self, name: &str) -> Option<&str> {
        self.etcd.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// All of it.
    pub fn text(&self) -> String {
        let snapshot =
            self.snapshot.map_or_else(|| "SNAPSHOT".to_owned(), |path| quoted(&path.display().to_string()));
        let directory = self.option("--data-dir").unwrap_or("/var/lib/etcd");
        let own = self.option("--name").unwrap_or("NAME");
        let own_url = self.option("--initial-advertise-peer-urls").unwrap_or("https://ADDRESS:2380");
        let cluster = match &self.peers {
            Some(peers) => peers.clone(),
            None => {
                self.option("--initial-cluster").unwrap_or_default().split(',').map(str::to_owned).collect()
            }
        };
        let mut text = String::new();
        let mut line = |words: &str| {
            let _ = writeln!(text, "{words}");
        };
        line(
            "Everything that was changed in the cluster since the snapshot is lost. All masters are restored from the same file;",
        );
        line(
            "a member that is only away comes back by itself, and one that is broken joins anew: then restore nothing.",
        );
        if self.peers.is_none() {
            line("");
            line(
                "etcd does not answer here. Its members below are those that its manifest names, which is how it was when this",
            );
            line("master joined: add those that came later, the same on every master.");
        }
        line("");
        line("1. Copy the snapshot to every master, and stop apiserver and etcd on every master:");
        line("     mkdir -p /root/stopped");
        line(
            "     mv /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/manifests/etcd.yaml /root/stopped/",
        );
        line("     while pgrep -x 'etcd|kube-apiserver'; do sleep 1; done");
        line("");
        line("2. On every master, put its data aside:");
        line(&format!("     mv {0} {0}.before", quoted(directory)));
        line("");
        line("3. On every master, restore its own part. On this one:");
        line(&format!("     {}", self.restore(&snapshot, directory, own, own_url, &cluster.join(","))));
        for peer in cluster.iter().filter(|peer| peer.split('=').next() != Some(own)) {
            let Some((name, url)) = peer.split_once('=') else { continue };
            line(&format!(
                "   On {name} with `--name={name}` and `--initial-advertise-peer-urls={url}`, the rest the same."
            ));
        }
        line("");
        line("4. On every master, start etcd, and when all of them run, the apiserver:");
        line("     mv /root/stopped/etcd.yaml /etc/kubernetes/manifests/");
        line("     lvscare-installer node etcd health");
        line("     mv /root/stopped/kube-apiserver.yaml /etc/kubernetes/manifests/");
        line("");
        line("5. On every node, what watches the cluster has to look anew:");
        line("     systemctl restart kubelet");
        line(&format!("   When all is well: rm -r {}.before", quoted(directory)));
        text
    }

    /// etcd does not run then, so its program comes from the image.
    fn restore(&self, snapshot: &str, directory: &str, name: &str, url: &str, cluster: &str) -> String {
        let parent =
            Path::new(directory).parent().map_or("/var/lib".into(), |path| path.display().to_string());
        let image = quoted(self.image);
        let run = match self.runtime {
            Some("docker") => {
                format!("docker run --rm -v {parent}:{parent} -v {snapshot}:/snapshot.db:ro {image}")
            }
            Some("crio") => {
                format!("podman run --rm -v {parent}:{parent} -v {snapshot}:/snapshot.db:ro {image}")
            }
            _ => format!(
                "ctr --namespace k8s.io run --rm --mount type=bind,src={parent},dst={parent},options=rbind:rw --mount \
                 type=bind,src={snapshot},dst=/snapshot.db,options=rbind:ro {image} restore"
            ),
        };
        // Since 3.6 it is another program that restores.
        let program = if is_since_3_6(self.image) { "etcdutl" } else { "etcdctl" };
        format!(
            "{run} {program} snapshot restore /snapshot.db --data-dir={} --name={} --initial-advertise-peer-urls={} \
             --initial-cluster={}",
            quoted(directory),
            quoted(name),
            quoted(url),
            quoted(cluster)
        )
    }
}

fn is_since_3_6(image: &str) -> bool {
    let tag = image.rsplit(':').next().unwrap_or_default().trim_start_matches('v');
    let mut numbers = tag.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    (numbers.next(), numbers.next()) >= (Some(3), Some(6))
}

/// For a shell. What a manifest says is of whoever wrote it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@=,+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<String> {
        [
            "etcd",
            "--name=m1",
            "--data-dir=/var/lib/etcd",
            "--initial-advertise-peer-urls=https://10.0.0.1:2380",
            "--initial-cluster=m1=https://10.0.0.1:2380",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn the_commands_fit_the_masters() {
        let words = words();
        let peers = Some(vec!["m1=https://10.0.0.1:2380".to_owned(), "m2=https://10.0.0.2:2380".to_owned()]);
        let image = "k8s.gcr.io/etcd:3.4.13-0";
        let mut guide = Guide {
            etcd: &words,
            image,
            peers,
            runtime: Some("containerd"),
            snapshot: Some(Path::new("/root/a b.db")),
        };
        let text = guide.text();
        let command = "etcdctl snapshot restore /snapshot.db --data-dir=/var/lib/etcd --name=m1 \
                       --initial-advertise-peer-urls=https://10.0.0.1:2380 \
                       --initial-cluster=m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380\n";
        assert!(text.contains("src='/root/a b.db',dst=/snapshot.db") && text.contains(command), "{text}");
        assert!(
            text.contains("On m2 with `--name=m2` and `--initial-advertise-peer-urls=https://10.0.0.2:2380`"),
            "{text}"
        );
        guide.image = "registry.k8s.io/etcd:3.6.5-0";
        guide.runtime = Some("docker");
        guide.peers = None;
        let text = guide.text();
        assert!(
            text.contains("docker run --rm -v /var/lib:/var/lib")
                && text.contains("etcdutl snapshot restore"),
            "{text}"
        );
        assert!(
            text.contains("etcd does not answer here")
                && text.contains("--initial-cluster=m1=https://10.0.0.1:2380\n"),
            "{text}"
        );
    }
}
