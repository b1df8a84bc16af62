//! Portolan.

pub mod cli {
    //! The subcommands, one a file.

    pub mod check_config;
}
pub mod config;
pub mod yaml;
