# SPDX-License-Identifier: BSD-2-Clause
# Concurrency Kit, of which only headers are used: FILCH_CK_INCLUDE_DIR.

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND AND NOT CMAKE_CROSSCOMPILING)
	pkg_check_modules(CK QUIET ck)
endif()
# They are the same on every system, so those of the machine that compiles do.
find_path(CK_INCLUDE_DIR ck_pr.h HINTS ${CK_INCLUDE_DIRS} ${CK_INCLUDEDIR}
	CMAKE_FIND_ROOT_PATH_BOTH
	DOC "The directory of Concurrency Kit's headers (ck_pr.h)")
if(NOT CK_INCLUDE_DIR)
	message(FATAL_ERROR "Concurrency Kit's headers were not found.  "
		"Install libck-dev (Debian), concurrencykit (FreeBSD's "
		"package) or ck from concurrencykit.org, here and not in a "
		"sysroot; -DCK_INCLUDE_DIR=DIR names the directory of ck_pr.h "
		"if it is not in the usual places.")
endif()
set(FILCH_CK_INCLUDE_DIR "${CK_INCLUDE_DIR}")

# A cross compiler must not see what else lies beside them, which is the whole
# of /usr/include: it gets copies.  ck_md.h is written when ck is configured,
# for the processor of its package; the one thing in it that decides whether
# the code is right, the memory model, is set to the target's.
if(CMAKE_CROSSCOMPILING)
	set(FILCH_CK_INCLUDE_DIR "${PROJECT_BINARY_DIR}/ck")
	file(GLOB ck_headers "${CK_INCLUDE_DIR}/ck_*.h")
	list(FILTER ck_headers EXCLUDE REGEX "/ck_md\\.h$")
	file(COPY ${ck_headers} DESTINATION "${FILCH_CK_INCLUDE_DIR}")
	file(COPY "${CK_INCLUDE_DIR}/gcc" DESTINATION "${FILCH_CK_INCLUDE_DIR}"
		FILES_MATCHING PATTERN "ck_*.h")
	file(READ "${CK_INCLUDE_DIR}/ck_md.h" ck_md)
	if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|i[3-6]86)$")
		set(ck_model CK_MD_TSO)
	else()
		set(ck_model CK_MD_RMO)
	endif()
	string(REGEX REPLACE "CK_MD_(TSO|PSO|RMO)" "${ck_model}" ck_md
		"${ck_md}")
	file(CONFIGURE OUTPUT "${FILCH_CK_INCLUDE_DIR}/ck_md.h"
		CONTENT "${ck_md}" @ONLY)
endif()
