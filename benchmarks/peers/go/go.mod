// SPDX-License-Identifier: BSD-2-Clause
module filch/peers

go 1.26
