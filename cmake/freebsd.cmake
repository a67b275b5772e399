# SPDX-License-Identifier: BSD-2-Clause
# Cross compiling for FreeBSD, with one of two compilers:
#
# zig, which brings FreeBSD's headers and what there is to link with
# (pip install 'ziglang>=0.15', for FreeBSD 14 and later, shared libc only):
#
#	cmake -B build/freebsd -DCMAKE_TOOLCHAIN_FILE=cmake/freebsd.cmake \
#		-DFILCH_FREEBSD_ARCH=aarch64
#
# Plain clang with lld and a sysroot: a directory with FreeBSD's lib,
# usr/include and usr/lib, as unpacked from the release's base.txz:
#
#	cmake -B build/freebsd -DCMAKE_TOOLCHAIN_FILE=cmake/freebsd.cmake \
#		-DCMAKE_SYSROOT=/path/of/it
#
# (scripts/freebsd12-sysroot makes what compiles and links like 12.1's.)
#
# FILCH_FREEBSD_ARCH     x86_64 (the default) or aarch64
# FILCH_FREEBSD_VERSION  14.0 with zig; what the sysroot's sys/param.h says
# FILCH_ZIG              zig, if it is neither in PATH nor python3's ziglang
# CMAKE_C_COMPILER       clang, if it has another name
#
# ck's headers are this machine's (libck-dev); see cmake/ck.cmake.

set(CMAKE_SYSTEM_NAME FreeBSD)
set(FILCH_FREEBSD_ARCH x86_64 CACHE STRING "x86_64 or aarch64")
set(filch_freebsd_version 14.0)
if(CMAKE_SYSROOT) # 1201000 is 12.1
	file(STRINGS "${CMAKE_SYSROOT}/usr/include/sys/param.h" filch_version
		REGEX "^#define[ \t]+__FreeBSD_version[ \t]+[0-9]+")
	if(filch_version MATCHES "([0-9]+)([0-9][0-9])[0-9][0-9][0-9]")
		math(EXPR filch_minor "1${CMAKE_MATCH_2} - 100")
		set(filch_freebsd_version "${CMAKE_MATCH_1}.${filch_minor}")
	endif()
endif()
set(FILCH_FREEBSD_VERSION "${filch_freebsd_version}" CACHE STRING
	"FreeBSD's version")
set(CMAKE_SYSTEM_PROCESSOR "${FILCH_FREEBSD_ARCH}")
set(CMAKE_SYSTEM_VERSION "${FILCH_FREEBSD_VERSION}")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES
	CMAKE_SYSROOT FILCH_FREEBSD_ARCH FILCH_FREEBSD_VERSION FILCH_ZIG)
if(NOT FILCH_FREEBSD_ARCH MATCHES "^(x86_64|aarch64)$")
	message(FATAL_ERROR
		"FILCH_FREEBSD_ARCH is ${FILCH_FREEBSD_ARCH}; there are x86_64 "
		"and aarch64")
endif()

if(CMAKE_SYSROOT)
	if(NOT CMAKE_C_COMPILER)
		set(CMAKE_C_COMPILER clang)
	endif()
	set(CMAKE_FIND_ROOT_PATH "${CMAKE_SYSROOT}")
	set(CMAKE_C_COMPILER_TARGET
		"${FILCH_FREEBSD_ARCH}-unknown-freebsd${FILCH_FREEBSD_VERSION}")
	foreach(kind IN ITEMS EXE SHARED MODULE)
		set(CMAKE_${kind}_LINKER_FLAGS_INIT -fuse-ld=lld)
	endforeach()
else()
	find_program(FILCH_ZIG zig DOC "zig, which compiles for FreeBSD")
	if(NOT FILCH_ZIG)
		execute_process(COMMAND python3 -c
			"import os, ziglang
print(os.path.join(os.path.dirname(ziglang.__file__), 'zig'))"
			OUTPUT_VARIABLE filch_zig ERROR_QUIET
			OUTPUT_STRIP_TRAILING_WHITESPACE)
		if(NOT filch_zig)
			message(FATAL_ERROR "No zig and no CMAKE_SYSROOT: "
				"cmake/freebsd.cmake says how to get either")
		endif()
		set(FILCH_ZIG "${filch_zig}" CACHE FILEPATH
			"zig, which compiles for FreeBSD" FORCE)
	endif()
	set(CMAKE_C_COMPILER "${FILCH_ZIG}" cc -target
		"${FILCH_FREEBSD_ARCH}-freebsd.${FILCH_FREEBSD_VERSION}")
	# As rules, since CMAKE_AR is the name of a program without arguments.
	set(CMAKE_C_ARCHIVE_CREATE
		"\"${FILCH_ZIG}\" ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
	set(CMAKE_C_ARCHIVE_APPEND
		"\"${FILCH_ZIG}\" ar q <TARGET> <LINK_FLAGS> <OBJECTS>")
	set(CMAKE_C_ARCHIVE_FINISH "\"${FILCH_ZIG}\" ranlib <TARGET>")
	# There is nothing to be found, in particular not this machine's.
	get_filename_component(CMAKE_FIND_ROOT_PATH "${FILCH_ZIG}" DIRECTORY)
endif()

# Programs are this machine's; libraries, headers and packages are not.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_LIBDIR} "${CMAKE_FIND_ROOT_PATH}/usr/libdata/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${CMAKE_FIND_ROOT_PATH}")
