//! The commands of the family.

const IPVS_CMD_NEW_SERVICE: u8 = 1;
const IPVS_CMD_SET_SERVICE: u8 = 2;
const IPVS_CMD_DEL_SERVICE: u8 = 3;
const IPVS_CMD_GET_SERVICE: u8 = 4;
const IPVS_CMD_NEW_DEST: u8 = 5;
const IPVS_CMD_SET_DEST: u8 = 6;
const IPVS_CMD_DEL_DEST: u8 = 7;
const IPVS_CMD_GET_DEST: u8 = 8;
const IPVS_CMD_NEW_DAEMON: u8 = 9;
const IPVS_CMD_DEL_DAEMON: u8 = 10;
const IPVS_CMD_GET_DAEMON: u8 = 11;
const IPVS_CMD_SET_CONFIG: u8 = 12;
const IPVS_CMD_GET_CONFIG: u8 = 13;
const IPVS_CMD_SET_INFO: u8 = 14;
const IPVS_CMD_GET_INFO: u8 = 15;
const IPVS_CMD_ZERO: u8 = 16;
const IPVS_CMD_FLUSH: u8 = 17;

/// What a message asks for or answers (`IPVS_CMD_*`), the `cmd` of the generic-netlink header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// Add a service; also the answer to [`GetService`](Self::GetService) (`IPVS_CMD_NEW_SERVICE`).
    NewService,
    /// Change scheduler, flags, timeout or netmask of a service (`IPVS_CMD_SET_SERVICE`).
    SetService,
    /// Delete a service with its destinations (`IPVS_CMD_DEL_SERVICE`).
    DelService,
    /// Read one service, or as a dump all of them (`IPVS_CMD_GET_SERVICE`).
    GetService,
    /// Add a destination; also the answer to [`GetDestination`](Self::GetDestination) (`IPVS_CMD_NEW_DEST`).
    NewDestination,
    /// Change forwarding, weight or thresholds of a destination (`IPVS_CMD_SET_DEST`).
    SetDestination,
    /// Delete a destination (`IPVS_CMD_DEL_DEST`).
    DelDestination,
    /// Read the destinations of a service, always as a dump (`IPVS_CMD_GET_DEST`).
    GetDestination,
    /// Start a sync daemon; also the answer to [`GetDaemon`](Self::GetDaemon) (`IPVS_CMD_NEW_DAEMON`).
    NewDaemon,
    /// Stop a sync daemon (`IPVS_CMD_DEL_DAEMON`).
    DelDaemon,
    /// Read the running sync daemons, always as a dump (`IPVS_CMD_GET_DAEMON`).
    GetDaemon,
    /// Set connection timeouts; also the answer to [`GetConfig`](Self::GetConfig) (`IPVS_CMD_SET_CONFIG`).
    SetConfig,
    /// Read connection timeouts (`IPVS_CMD_GET_CONFIG`).
    GetConfig,
    /// The answer to [`GetInfo`](Self::GetInfo), never a request (`IPVS_CMD_SET_INFO`).
    SetInfo,
    /// Read version and table size (`IPVS_CMD_GET_INFO`).
    GetInfo,
    /// Reset the statistics of one service, or of all (`IPVS_CMD_ZERO`).
    Zero,
    /// Delete all services (`IPVS_CMD_FLUSH`).
    Flush,
    /// A command this module does not know.
    Other(u8),
}

impl From<u8> for Command {
    fn from(command: u8) -> Self {
        match command {
            IPVS_CMD_NEW_SERVICE => Self::NewService,
            IPVS_CMD_SET_SERVICE => Self::SetService,
            IPVS_CMD_DEL_SERVICE => Self::DelService,
            IPVS_CMD_GET_SERVICE => Self::GetService,
            IPVS_CMD_NEW_DEST => Self::NewDestination,
            IPVS_CMD_SET_DEST => Self::SetDestination,
            IPVS_CMD_DEL_DEST => Self::DelDestination,
            IPVS_CMD_GET_DEST => Self::GetDestination,
            IPVS_CMD_NEW_DAEMON => Self::NewDaemon,
            IPVS_CMD_DEL_DAEMON => Self::DelDaemon,
            IPVS_CMD_GET_DAEMON => Self::GetDaemon,
            IPVS_CMD_SET_CONFIG => Self::SetConfig,
            IPVS_CMD_GET_CONFIG => Self::GetConfig,
            IPVS_CMD_SET_INFO => Self::SetInfo,
            IPVS_CMD_GET_INFO => Self::GetInfo,
            IPVS_CMD_ZERO => Self::Zero,
            IPVS_CMD_FLUSH => Self::Flush,
            other => Self::Other(other),
        }
    }
}

impl From<Command> for u8 {
    fn from(command: Command) -> Self {
        match command {
            Command::NewService => IPVS_CMD_NEW_SERVICE,
            Command::SetService => IPVS_CMD_SET_SERVICE,
            Command::DelService => IPVS_CMD_DEL_SERVICE,
            Command::GetService => IPVS_CMD_GET_SERVICE,
            Command::NewDestination => IPVS_CMD_NEW_DEST,
            Command::SetDestination => IPVS_CMD_SET_DEST,
            Command::DelDestination => IPVS_CMD_DEL_DEST,
            Command::GetDestination => IPVS_CMD_GET_DEST,
            Command::NewDaemon => IPVS_CMD_NEW_DAEMON,
            Command::DelDaemon => IPVS_CMD_DEL_DAEMON,
            Command::GetDaemon => IPVS_CMD_GET_DAEMON,
            Command::SetConfig => IPVS_CMD_SET_CONFIG,
            Command::GetConfig => IPVS_CMD_GET_CONFIG,
            Command::SetInfo => IPVS_CMD_SET_INFO,
            Command::GetInfo => IPVS_CMD_GET_INFO,
            Command::Zero => IPVS_CMD_ZERO,
            Command::Flush => IPVS_CMD_FLUSH,
            Command::Other(other) => other,
        }
    }
}
