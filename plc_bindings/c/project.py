"""Texts of an exported C project: its CMake file and its README."""

import re
from collections.abc import Sequence

from plc_bindings.c import EXAMPLE, SOURCES
from rt_native import version
from rt_native.levels import Level

_CMAKE = """\
# rt_engine: runs compiled neural networks (.rtp) in C and C++ programs. See README.txt.
#
#   cmake -B build [-DRTE_LEVEL=LEVEL] && cmake --build build
#   add_subdirectory(...) and target_link_libraries(mine rt_engine)     in a project of yours
cmake_minimum_required(VERSION 3.13)
project(rt_engine VERSION @VERSION@ LANGUAGES C CXX)
include(CMakePackageConfigHelpers)

set(RTE_LEVELS @LEVELS@)
if(NOT RTE_LEVEL)
@CHOICE@  if(NOT RTE_LEVEL)
    message(FATAL_ERROR "No kernels here for ${CMAKE_SYSTEM_PROCESSOR}: there are ${RTE_LEVELS}. "
                        "Export again with --level.")
  endif()
endif()
set(RTE_LEVEL "${RTE_LEVEL}" CACHE STRING "Kind of processor that the kernels are for: one of ${RTE_LEVELS}")
if(NOT RTE_LEVEL IN_LIST RTE_LEVELS)
  message(FATAL_ERROR "No kernels here for RTE_LEVEL=${RTE_LEVEL}: there are ${RTE_LEVELS}")
endif()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(Threads REQUIRED)
set(RTE_LIBRARIES Threads::Threads)
if(RTE_LEVEL STREQUAL "armv7") # its NEON cannot round to whole numbers
  list(APPEND RTE_LIBRARIES m -static-libgcc)
endif()
set(RTE_SOURCES @SOURCES@ kernels/${RTE_LEVEL}.c)
set(RTE_KERNELS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/${RTE_LEVEL}.a)

add_library(rt_engine_objects OBJECT ${RTE_SOURCES})
set_target_properties(rt_engine_objects PROPERTIES C_STANDARD 11 C_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
target_include_directories(rt_engine_objects PRIVATE include src)

add_library(rt_engine SHARED $<TARGET_OBJECTS:rt_engine_objects>)
target_link_libraries(rt_engine PRIVATE ${RTE_KERNELS} ${RTE_LIBRARIES})
target_link_options(rt_engine PRIVATE -Wl,--no-undefined -Wl,-s
                    -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/src/rt_engine.map)
set_target_properties(rt_engine PROPERTIES LINK_DEPENDS "${RTE_KERNELS};${CMAKE_CURRENT_SOURCE_DIR}/src/rt_engine.map")

# The static library is one object in which every name but rte_* is local: a program may have an `execute` of its own.
set(RTE_WHOLE ${CMAKE_CURRENT_BINARY_DIR}/rt_engine_whole.o)
add_custom_command(
  OUTPUT ${RTE_WHOLE}
  COMMAND ${CMAKE_LINKER} -r $<TARGET_OBJECTS:rt_engine_objects> ${RTE_KERNELS} -o ${RTE_WHOLE}
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=rte_* ${RTE_WHOLE}
  DEPENDS rt_engine_objects $<TARGET_OBJECTS:rt_engine_objects> ${RTE_KERNELS}
  COMMAND_EXPAND_LISTS VERBATIM)
add_library(rt_engine_static STATIC ${RTE_WHOLE})
set_target_properties(rt_engine_static PROPERTIES LINKER_LANGUAGE C)
target_link_libraries(rt_engine_static PUBLIC ${RTE_LIBRARIES})
foreach(library rt_engine rt_engine_static)
  target_include_directories(${library} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                             $<INSTALL_INTERFACE:include>)
  add_library(rt_engine::${library} ALIAS ${library})
endforeach()

foreach(name example example_static)
  add_executable(${name} example/@EXAMPLE@)
  set_target_properties(${name} PROPERTIES CXX_STANDARD 14)
endforeach()
target_link_libraries(example PRIVATE rt_engine Threads::Threads)
target_link_libraries(example_static PRIVATE rt_engine_static)

# After `cmake --install`: find_package(rt_engine) and rt_engine::rt_engine, or pkg-config --cflags --libs rt_engine
set(RTE_PACKAGE lib/cmake/rt_engine)
install(TARGETS rt_engine rt_engine_static EXPORT rt_engine_targets
        LIBRARY DESTINATION lib ARCHIVE DESTINATION lib)
install(DIRECTORY include/ DESTINATION include)
install(EXPORT rt_engine_targets NAMESPACE rt_engine:: DESTINATION ${RTE_PACKAGE})
configure_package_config_file(cmake/rt_engine-config.cmake.in rt_engine-config.cmake INSTALL_DESTINATION ${RTE_PACKAGE})
write_basic_package_version_file(rt_engine-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/rt_engine-config.cmake
        ${CMAKE_CURRENT_BINARY_DIR}/rt_engine-config-version.cmake DESTINATION ${RTE_PACKAGE})
configure_file(cmake/rt_engine.pc.in rt_engine.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/rt_engine.pc DESTINATION lib/pkgconfig)
"""

_CONFIG = """\
@PACKAGE_INIT@
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/rt_engine_targets.cmake)
check_required_components(rt_engine)
"""

_PKG_CONFIG = """\
prefix=${pcfiledir}/../..
libdir=${prefix}/lib
includedir=${prefix}/include

Name: rt_engine
Description: Runs compiled neural networks (.rtp) in a real-time program
Version: @PROJECT_VERSION@
Libs: -L${libdir} -lrt_engine
Libs.private: -pthread
Cflags: -I${includedir}
"""

CMAKE_FILES = {"cmake/rt_engine-config.cmake.in": _CONFIG, "cmake/rt_engine.pc.in": _PKG_CONFIG}
"""What CMake fills in for those who find the installed library: file -> text."""

_CHOICE = """\
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(@PATTERN@)$")
    set(RTE_LEVEL @LEVEL@)
  endif()
"""
_PATTERNS = {"x86_64": "x86_64|amd64|AMD64", "aarch64": "aarch64|arm64", "armv7": "armv[78]l?|arm"}


def cmake(levels: Sequence[Level]) -> str:
    """CMakeLists.txt: the first level for a kind of machine is the one that is built unless another is asked for."""
    first = {level.machine: level.name for level in reversed(levels)}
    choices = [
        _CHOICE.replace("@PATTERN@", _PATTERNS[machine]).replace("@LEVEL@", name) for machine, name in first.items()
    ]
    sources = " ".join(f"src/{name}" for name in SOURCES if name.endswith(".c"))
    text = _CMAKE.replace("@LEVELS@", " ".join(level.name for level in levels)).replace("@CHOICE@", "".join(choices))
    number = re.match(r"[\d.]*\d", version.TEXT)
    assert number is not None
    return text.replace("@SOURCES@", sources).replace("@EXAMPLE@", EXAMPLE).replace("@VERSION@", number[0])


def readme(levels: Sequence[str], models: Sequence[str]) -> str:
    """README.txt."""
    listed = "".join(f"\n  models/{name}.rtp" for name in models)
    kept = (
        f"""
The kernels here are those that these models need, and no others; another model may need more, and is then refused with
their names (RTE_MISSING_KERNEL): export again with it.
{listed}
"""
        if models
        else ""
    )
    return f"""rt_engine for C and C++
=======================

Runs compiled neural networks (.rtp) in a real-time program. Needs libc and pthread; no Python, no ONNX.

  include/rt_engine.h    the interface, explained
  src/                   loader, contexts, hot update (C11)
  kernels/               the kernels, compiled: {", ".join(levels)}
  example/example.cpp    a control loop of 1 kHz with a hot update

Build:

  cmake -B build && cmake --build build    libraries and example
  cmake -B build -DRTE_LEVEL=LEVEL         for another kind of processor: one of {", ".join(levels)}
  build/example old.rtp new.rtp            a loop whose model is replaced half-way
  cmake --install build --prefix PLACE     for find_package(rt_engine) with rt_engine::rt_engine or rt_engine::rt_engine_static,
                                           and for pkg-config --cflags --libs rt_engine (PKG_CONFIG_PATH=PLACE/lib/pkgconfig)

or without CMake:

  gcc -O2 -fPIC -shared -Iinclude -Isrc src/*.c kernels/LEVEL.c kernels/LEVEL.a -Wl,--version-script=src/rt_engine.map \\
      -s -o librt_engine.so -pthread        (and -lm for armv7)

A model is compiled with `rt-engine compile model.onnx -o model.rtp`. The file is the same for every processor, and so are the
bits of the results. But processors without FMA (x86-64-v2; native, where this was exported on one) have bits of their own;
x86-64-v2-exact has those of all others.
{kept}"""
