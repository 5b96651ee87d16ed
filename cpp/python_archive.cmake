# Defines pyhost_hold_python(PROGRAM), which makes a program contain Python if there is a static library of it that can
# be linked whole. The target pyhost_python_archive is that library.
include(CheckCXXSourceCompiles)

execute_process(
  COMMAND ${Python_EXECUTABLE} -I -c "
import glob, os, sysconfig
folder, library = sysconfig.get_config_vars('LIBPL', 'LIBRARY')
stem = os.path.join(folder or '', (library or '').removesuffix('.a'))
print(';'.join(filter(os.path.exists, (stem + '-pic.a', stem + '.a'))))
words = ' '.join(sysconfig.get_config_var(v) or '' for v in ('LIBS', 'SYSLIBS', 'MODLIBS')).split()
print(';'.join(dict.fromkeys(w for w in words if w.startswith('-l'))))"
  OUTPUT_VARIABLE archive_facts OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "^[^\n]*" archives "${archive_facts}")
string(REGEX MATCH "\n(.*)$" unused "${archive_facts}")
set(needs ${CMAKE_MATCH_1})

option(PYHOST_STATIC_PYTHON "Link Python into the program if a usable archive of it exists" ON)
set(PYHOST_PYTHON_ARCHIVE_WORKS OFF)
if(PYHOST_STATIC_PYTHON AND PYHOST_PROGRAM AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  foreach(archive IN LISTS archives)
    set(whole -Wl,--whole-archive ${archive} -Wl,--no-whole-archive ${needs} Threads::Threads ${CMAKE_DL_LIBS})
    set(CMAKE_REQUIRED_LIBRARIES ${whole})
    set(CMAKE_REQUIRED_INCLUDES ${Python_INCLUDE_DIRS})
    get_filename_component(name ${archive} NAME)
    check_cxx_source_compiles("#include <Python.h>\nint main() { return Py_IsInitialized(); }" "PYHOST_LINKS_${name}")
    if(PYHOST_LINKS_${name})
      target_link_libraries(pyhost_python_archive INTERFACE ${whole})
      # Not -rdynamic, because that would also export our C++ symbols to extension modules.
      target_link_options(pyhost_python_archive INTERFACE "LINKER:--export-dynamic-symbol=Py*" "LINKER:--export-dynamic-symbol=_Py*")
      set(PYHOST_PYTHON_ARCHIVE_WORKS ON)
      message(STATUS "Linking Python into the program: ${archive}")
      break()
    endif()
  endforeach()
endif()

function(pyhost_hold_python program)
  if(NOT PYHOST_PYTHON_ARCHIVE_WORKS)
    return()
  endif()
  set_target_properties(${program} PROPERTIES PYHOST_HOLDS_PYTHON ON)
  # A program at a fixed address, as Debian's python3 is, has no addresses to adjust when it starts.
  if(NOT PYHOST_SANITIZE)
    target_link_options(${program} PRIVATE -no-pie)
  endif()
endfunction()
