@ECHO OFF
REM Connects this machine to the postoffice: for AUTOEXEC.BAT, behind what
REM starts the network, or for the logon script. CONFIG.SYS wants LASTDRIVE=Z.
REM
REM To adapt: server and share. A mailer at a hub wants both of the hub's
REM shares; the second program of a Windows NT machine, a server of its own:
REM
REM     NET USE K: \\POSTOFFICE\HUB
REM     NET USE M: \\POSTOFFICE\SALES
REM     NET USE N: \\POSTOFF2\MAIL

REM Mail is sorted by the clocks of those who send it. Windows NT lets only
REM an administrator set its own.
NET TIME \\POSTOFFICE /SET /YES

NET USE M: \\POSTOFFICE\MAIL
IF NOT EXIST M:\GLB\CONTROL.GLB GOTO NONE
ECHO The postoffice is drive M:
GOTO END

:NONE
REM Not "GOTO FAILED" after NET USE: drive M: may have been there before.
ECHO There is no postoffice at drive M:
ECHO Error 53: the server's name is not known, see LMHOSTS.
ECHO Error 5:  the postoffice is not mounted, or you may not log on.

:END
