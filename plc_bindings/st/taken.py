"""Names that the libraries of compilers and the C headers behind them have, in lower case: a variable of that name breaks the build.

The blocks and functions are those of matiec, in Beremiz and in OpenPLC; the macros those of the headers that its output includes
(glibc, GCC), for matiec writes every name in upper case.
"""

from __future__ import annotations

import re
from typing import Final

TYPE: Final = r"(?:bool|byte|l?d?word|u?[sdl]?int|l?real|w?string|l?time|l?date|l?tod|l?dt)"
_TYPED: Final = re.compile(
    rf"(?:abs|acos|add|and|asin|atan|cos|ctd|ctu|ctud|div|divtime|eq|exp|ge|gt|le|limit|ln|log|lt|max|min|mod|move|mul|multime|mux|ne"
    rf"|not|or|sel|sin|sqrt|sub|tan|xor)(?:_{TYPE}){{1,2}}"
    rf"|{TYPE}_to_{TYPE}|(?:{TYPE}_)?bcd_to_{TYPE}|{TYPE}_to_bcd(?:_{TYPE})?"
)
"""A function for each type: `add_real`, `mux_int_bool`, `real_to_dint`."""
BLOCKS: Final = frozenset(
    """
    concat_date_tod date_and_time_to_date date_and_time_to_time_of_day derivative divtime hysteresis integral multime pid ramp
    rotary_switch slm_04thm_config slm_analog_in_4 slm_analog_in_8 slm_analog_out_4 slm_analog_out_8 slm_discrete_in_16
    slm_discrete_in_8 slm_discrete_out_15 slm_discrete_out_16 slm_discrete_out_8 slm_init slm_temperature_4 sm_16din sm_16relay
    sm_4rel4in sm_8din sm_8mosfet sm_8relay sm_bas sm_home sm_industrial sm_rtd tcp_close tcp_connect tcp_receive tcp_send
    """.split()  # noqa: SIM905 (a page of words reads better than a page of quotes)
)
MACROS: Final = frozenset(
    """
    accessperms aio_prio_delta_max allperms at_eaccess at_empty_path at_fdcwd at_no_automount at_recursive at_removedir
    at_statx_dont_sync at_statx_force_sync at_statx_sync_as_stat at_statx_sync_type at_symlink_follow at_symlink_nofollow
    bc_base_max bc_dim_max bc_scale_max bc_string_max big_endian bool_max bool_width bufsiz byte_order char_bit char_max char_min
    char_width charclass_name_max clock_boottime clock_boottime_alarm clock_monotonic clock_monotonic_coarse clock_monotonic_raw
    clock_process_cputime_id clock_realtime clock_realtime_alarm clock_realtime_coarse clock_tai clock_thread_cputime_id
    clocks_per_sec close_range_cloexec close_range_unshare coll_weights_max dbg dbg_type dbl_decimal_dig dbl_dig dbl_epsilon
    dbl_has_subnorm dbl_mant_dig dbl_max dbl_max_10_exp dbl_max_exp dbl_min dbl_min_10_exp dbl_min_exp dbl_true_min decimal_dig
    deffilemode delaytimer_max dn_access dn_attrib dn_create dn_delete dn_modify dn_multishot dn_rename en_eno en_eno_params eof
    epoch_year exit_failure exit_success expr_nest_max f_add_seals f_dupfd f_dupfd_cloexec f_exlck f_get_file_rw_hint f_get_rw_hint
    f_get_seals f_getfd f_getfl f_getlease f_getlk f_getlk64 f_getown f_getown_ex f_getpipe_sz f_getsig f_lock f_notify f_ofd_getlk
    f_ofd_setlk f_ofd_setlkw f_ok f_rdlck f_seal_future_write f_seal_grow f_seal_seal f_seal_shrink f_seal_write f_set_file_rw_hint
    f_set_rw_hint f_setfd f_setfl f_setlease f_setlk f_setlk64 f_setlkw f_setlkw64 f_setown f_setown_ex f_setpipe_sz f_setsig
    f_shlck f_test f_tlock f_ulock f_unlck f_wrlck falloc_fl_collapse_range falloc_fl_insert_range falloc_fl_keep_size
    falloc_fl_no_hide_stale falloc_fl_punch_hole falloc_fl_unshare_range falloc_fl_zero_range fappend fasync fd_cloexec fd_clr
    fd_isset fd_set fd_setsize fd_zero ffsync filename_max flt_decimal_dig flt_dig flt_epsilon flt_eval_method flt_has_subnorm
    flt_mant_dig flt_max flt_max_10_exp flt_max_exp flt_min flt_min_10_exp flt_min_exp flt_radix flt_rounds flt_true_min fndelay
    fnonblock fopen_max fp_ilogb0 fp_ilogbnan fp_infinite fp_int_downward fp_int_tonearest fp_int_tonearestfromzero
    fp_int_towardzero fp_int_upward fp_llogb0 fp_llogbnan fp_nan fp_normal fp_subnormal fp_zero host_name_max huge_val
    huge_val_f128 huge_val_f32 huge_val_f32x huge_val_f64 huge_val_f64x huge_valf huge_vall iec_types_all_h iec_types_h infinity
    int16_c int16_max int16_min int16_width int32_c int32_max int32_min int32_width int64_c int64_max int64_min int64_width int8_c
    int8_max int8_min int8_width int_fast16_max int_fast16_min int_fast16_width int_fast32_max int_fast32_min int_fast32_width
    int_fast64_max int_fast64_min int_fast64_width int_fast8_max int_fast8_min int_fast8_width int_least16_max int_least16_min
    int_least16_width int_least32_max int_least32_min int_least32_width int_least64_max int_least64_min int_least64_width
    int_least8_max int_least8_min int_least8_width int_max int_min int_width intmax_c intmax_max intmax_min intmax_width intptr_max
    intptr_min intptr_width iov_max l_incr l_set l_xtnd ldbl_decimal_dig ldbl_dig ldbl_epsilon ldbl_has_subnorm ldbl_mant_dig
    ldbl_max ldbl_max_10_exp ldbl_max_exp ldbl_min ldbl_min_10_exp ldbl_min_exp ldbl_true_min line_max little_endian llong_max
    llong_min llong_width lock_ex lock_mand lock_nb lock_read lock_rw lock_sh lock_un lock_write login_name_max long_bit
    long_long_max long_long_min long_max long_min long_width m_1_pi m_2_pi m_2_sqrtpi m_e m_ln10 m_ln2 m_log10e m_log2e m_pi m_pi_2
    m_pi_4 m_sqrt1_2 m_sqrt2 madv_cold madv_dodump madv_dofork madv_dontdump madv_dontfork madv_dontneed madv_dontneed_locked
    madv_free madv_hugepage madv_hwpoison madv_keeponfork madv_mergeable madv_nohugepage madv_normal madv_pageout
    madv_populate_read madv_populate_write madv_random madv_remove madv_sequential madv_unmergeable madv_willneed madv_wipeonfork
    map_32bit map_anon map_anonymous map_denywrite map_executable map_failed map_file map_fixed map_fixed_noreplace map_growsdown
    map_huge_mask map_huge_shift map_hugetlb map_locked map_nonblock map_noreserve map_populate map_private map_shared
    map_shared_validate map_stack map_sync map_type math_errexcept math_errno max_canon max_handle_sz max_input maxfloat mb_cur_max
    mb_len_max mcl_current mcl_future mcl_onfault mfd_allow_sealing mfd_cloexec mfd_hugetlb mlock_onfault mq_prio_max
    mremap_dontunmap mremap_fixed mremap_maymove ms_async ms_invalidate ms_sync name_max nan nfdbits ngroups_max nl_argmax
    nl_langmax nl_msgmax nl_nmax nl_setmax nl_textmax nzero o_accmode o_append o_async o_cloexec o_creat o_direct o_directory
    o_dsync o_excl o_fsync o_largefile o_ndelay o_noatime o_noctty o_nofollow o_nonblock o_path o_rdonly o_rdwr o_rsync o_sync
    o_tmpfile o_trunc o_wronly path_max pdp_endian pipe_buf pkey_disable_access pkey_disable_write posix_fadv_dontneed
    posix_fadv_noreuse posix_fadv_normal posix_fadv_random posix_fadv_sequential posix_fadv_willneed posix_madv_dontneed
    posix_madv_normal posix_madv_random posix_madv_sequential posix_madv_willneed prot_exec prot_growsdown prot_growsup prot_none
    prot_read prot_write pthread_destructor_iterations pthread_keys_max pthread_stack_min ptrdiff_max ptrdiff_min ptrdiff_width
    r_ok rand_max re_dup_max rename_exchange rename_noreplace rename_whiteout rtsig_max rwf_write_life_not_set
    rwh_write_life_extreme rwh_write_life_long rwh_write_life_medium rwh_write_life_none rwh_write_life_not_set
    rwh_write_life_short s_blksize s_iexec s_ifblk s_ifchr s_ifdir s_ififo s_iflnk s_ifmt s_ifreg s_ifsock s_iread s_irgrp s_iroth
    s_irusr s_irwxg s_irwxo s_irwxu s_isblk s_ischr s_isdir s_isfifo s_isgid s_islnk s_isreg s_issock s_isuid s_isvtx s_iwgrp
    s_iwoth s_iwrite s_iwusr s_ixgrp s_ixoth s_ixusr s_typeismq s_typeissem s_typeisshm schar_max schar_min schar_width
    seconds_per_day seconds_per_hour seconds_per_minute seek_cur seek_data seek_end seek_hole seek_set sem_value_max shrt_max
    shrt_min shrt_width sig_atomic_max sig_atomic_min sig_atomic_width size_max size_width snan snanf snanf128 snanf32 snanf32x
    snanf64 snanf64x snanl splice_f_gift splice_f_more splice_f_move splice_f_nonblock ssize_max statx__reserved statx_all
    statx_atime statx_attr_append statx_attr_automount statx_attr_compressed statx_attr_dax statx_attr_encrypted
    statx_attr_immutable statx_attr_mount_root statx_attr_nodump statx_attr_verity statx_basic_stats statx_blocks statx_btime
    statx_ctime statx_dioalign statx_gid statx_ino statx_mnt_id statx_mode statx_mtime statx_nlink statx_size statx_type statx_uid
    stderr_fileno stdin_fileno stdout_fileno str_len_type str_max_len sync_file_range_wait_after sync_file_range_wait_before
    sync_file_range_write sync_file_range_write_and_wait temp_failure_retry test_en test_en_cond time_utc timer_abstime tmp_max
    tty_name_max uchar_max uchar_width uint16_c uint16_max uint16_width uint32_c uint32_max uint32_width uint64_c uint64_max
    uint64_width uint8_c uint8_max uint8_width uint_fast16_max uint_fast16_width uint_fast32_max uint_fast32_width uint_fast64_max
    uint_fast64_width uint_fast8_max uint_fast8_width uint_least16_max uint_least16_width uint_least32_max uint_least32_width
    uint_least64_max uint_least64_width uint_least8_max uint_least8_width uint_max uint_width uintmax_c uintmax_max uintmax_width
    uintptr_max uintptr_width ullong_max ullong_width ulong_long_max ulong_max ulong_width ushrt_max ushrt_width utime_now
    utime_omit va_args_bool va_args_byte va_args_date va_args_dint va_args_dt va_args_dword va_args_int va_args_lint va_args_lreal
    va_args_lword va_args_real va_args_sint va_args_string va_args_time va_args_tod va_args_udint va_args_uint va_args_ulint
    va_args_usint va_args_word va_args_wstring w_ok wchar_max wchar_min wchar_width wcontinued wexited wexitstatus wifcontinued
    wifexited wifsignaled wifstopped wint_max wint_min wint_width wnohang wnowait word_bit wstopped wstopsig wtermsig wuntraced
    x_ok xattr_list_max xattr_name_max xattr_size_max
    """.split()  # noqa: SIM905
)


def taken(name: str) -> bool:
    """Is it one of them? `name` is in lower case."""
    return name in BLOCKS or name in MACROS or _TYPED.fullmatch(name) is not None
