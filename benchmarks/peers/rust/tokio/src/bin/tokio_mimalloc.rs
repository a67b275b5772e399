// SPDX-License-Identifier: BSD-2-Clause
//! tokio with mimalloc.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    peer_tokio::main("tokio_mimalloc");
}
