# Warnings, hardening and sanitisers, as one interface library that every target links.
add_library(bw_flags INTERFACE)

set(warnings
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wold-style-definition -Wvla -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings -Wnull-dereference
    -Wdouble-promotion -Wimplicit-fallthrough)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND warnings -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init)
endif()
if(BW_WERROR)
    list(APPEND warnings -Werror)
endif()
target_compile_options(bw_flags INTERFACE ${warnings})
target_compile_definitions(bw_flags INTERFACE _GNU_SOURCE BW_VERSION="${PROJECT_VERSION}")

set(hardening
    -fstack-protector-strong -fstack-clash-protection -fno-strict-aliasing -fno-strict-overflow
    -fno-delete-null-pointer-checks)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
    list(APPEND hardening -fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    list(APPEND hardening -mbranch-protection=standard)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND hardening -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr)
else()
    list(APPEND hardening -ftrivial-auto-var-init=pattern)
endif()

if(BW_SANITIZE)
    target_compile_options(bw_flags INTERFACE -fsanitize=${BW_SANITIZE} -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    target_link_options(bw_flags INTERFACE -fsanitize=${BW_SANITIZE})
else()
    target_compile_options(bw_flags INTERFACE ${hardening})
    if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
        target_compile_options(bw_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
    endif()
endif()
target_link_options(bw_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code
    -Wl,--as-needed)
if(BW_FUZZ)
    target_compile_options(bw_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
