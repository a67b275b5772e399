// SPDX-License-Identifier: BSD-2-Clause
//! tokio with the system's malloc.

fn main() {
    peer_tokio::main("tokio");
}
