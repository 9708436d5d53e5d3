//! How systemd runs kubelet, for packages that do not say it. Pure.

use std::path::Path;

/// The unit `kubelet.service`.
pub fn unit(kubelet: &Path) -> String {
    format!(
        "[Unit]\n\
         Description=kubelet, which runs the pods of this node\n\
         Documentation=https://kubernetes.io/docs/\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStart={}\n\
         Restart=always\n\
         RestartSec=10\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        kubelet.display()
    )
}

/// What kubeadm expects of it (`10-kubeadm.conf`): files and variables are those that kubeadm writes
/// (<https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/kubelet-integration/>).
pub fn drop_in(kubelet: &Path) -> String {
    format!(
        "[Service]\n\
         Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
         --kubeconfig=/etc/kubernetes/kubelet.conf\"\n\
         Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\n\
         EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\n\
         EnvironmentFile=-/etc/default/kubelet\n\
         ExecStart=\n\
         ExecStart={} $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n",
        kubelet.display()
    )
}
