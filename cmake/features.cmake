# SPDX-License-Identifier: BSD-2-Clause
# What the system has, found by compiling and linking, never by its name or
# version.  Each FILCH_HAVE_* is a cache variable and, if true, a macro of
# filch_options.

include(CheckCSourceCompiles)
include(CheckIncludeFile)
include(CheckStructHasMember)
include(CheckSymbolExists)

function(filch_find_features)
	set(CMAKE_C_STANDARD 11)
	set(CMAKE_C_STANDARD_REQUIRED ON)
	set(CMAKE_C_EXTENSIONS OFF)
	set(CMAKE_REQUIRED_DEFINITIONS -D_GNU_SOURCE)
	set(CMAKE_REQUIRED_LIBRARIES Threads::Threads)

	check_symbol_exists(ppoll poll.h FILCH_HAVE_PPOLL)
	# unistd.h cannot be asked: FreeBSD's says no to both.
	check_symbol_exists(fdatasync unistd.h FILCH_HAVE_FDATASYNC)
	check_symbol_exists(pthread_condattr_setclock pthread.h
		FILCH_HAVE_CONDATTR_SETCLOCK)
	check_symbol_exists(posix_fallocate fcntl.h FILCH_HAVE_POSIX_FALLOCATE)
	check_symbol_exists(cpuset_getaffinity "sys/param.h;sys/cpuset.h"
		FILCH_HAVE_CPUSET)
	check_symbol_exists(sched_getaffinity sched.h FILCH_HAVE_SCHED_AFFINITY)
	check_struct_has_member("struct stat" st_mtim sys/stat.h
		FILCH_HAVE_ST_MTIM LANGUAGE C)
	# The fault programs are glibc's: they wrap its functions by name.
	check_symbol_exists(strerrorname_np string.h FILCH_HAVE_STRERRORNAME_NP)

	# POSIX AIO whose completions are kevents that carry 64 bits.
	check_c_source_compiles("
#include <sys/types.h>
#include <sys/event.h>
#include <aio.h>
#include <signal.h>
#include <stddef.h>
_Static_assert(sizeof(void *) == 8, \"no room for a token\");
int
main(void)
{
	struct aiocb cb = { .aio_lio_opcode = LIO_READ };
	struct aiocb *list[1] = { &cb };
	struct kevent event;

	cb.aio_sigevent.sigev_notify = SIGEV_KEVENT;
	cb.aio_sigevent.sigev_notify_kqueue = kqueue();
	cb.aio_sigevent.sigev_notify_kevent_flags = EV_ONESHOT;
	cb.aio_sigevent.sigev_value.sival_ptr = &cb;
	EV_SET(&event, 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
	return (lio_listio(LIO_NOWAIT, list, 1, NULL) +
	    kevent(-1, &event, 1, NULL, 0, NULL) + EVFILT_AIO + EVFILT_LIO);
}
"		FILCH_HAVE_KQUEUE)
	if(FILCH_HAVE_KQUEUE)
		set(aio_headers "sys/types.h;sys/uio.h;aio.h;fcntl.h")
		check_symbol_exists(aio_readv "${aio_headers}" filch_aio_readv)
		check_symbol_exists(aio_writev "${aio_headers}" filch_aio_writev)
		check_symbol_exists(LIO_READV "${aio_headers}" filch_lio_readv)
		check_symbol_exists(LIO_WRITEV "${aio_headers}" filch_lio_writev)
		check_symbol_exists(O_DSYNC "${aio_headers}" filch_o_dsync)
	endif()
	filch_feature(AIO_READV filch_aio_readv AND filch_aio_writev)
	filch_feature(LIO_READV filch_lio_readv AND filch_lio_writev)
	# aio_fsync(2) has taken O_DSYNC since the kernel has aio_readv(2).
	filch_feature(AIO_DSYNC filch_o_dsync AND filch_aio_readv)
	# The names of st_mtim where the standard's are not known.
	filch_feature(ST_MTIMESPEC NOT FILCH_HAVE_ST_MTIM)
endfunction()

# filch_feature(NAME CONDITION...): one that follows from others.
macro(filch_feature name)
	if(${ARGN})
		set(FILCH_HAVE_${name} 1)
	else()
		set(FILCH_HAVE_${name} "")
	endif()
	set(FILCH_HAVE_${name} "${FILCH_HAVE_${name}}" CACHE INTERNAL
		"Have ${name}")
endmacro()

# filch_define_features(TARGET): the macros, for all that link TARGET.
function(filch_define_features target)
	foreach(name IN ITEMS AIO_DSYNC AIO_READV CONDATTR_SETCLOCK CPUSET
		FDATASYNC KQUEUE LIO_READV POSIX_FALLOCATE PPOLL SCHED_AFFINITY
		ST_MTIMESPEC)
		target_compile_definitions(${target} INTERFACE
			$<$<BOOL:${FILCH_HAVE_${name}}>:FILCH_HAVE_${name}>)
	endforeach()
endfunction()
