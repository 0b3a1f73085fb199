using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Transport;

public sealed class SshMessageRulesTests
{
    /// <summary>L1: all 256 numbers × roles × phases × steps × strictness against a list written out from the RFCs.</summary>
    [Fact]
    public void Table_allows_exactly_what_the_specifications_allow()
    {
        foreach (var role in Enum.GetValues<SshRole>())
        foreach (var phase in Enum.GetValues<SshPhase>())
        foreach (var step in Enum.GetValues<SshKexStep>())
        foreach (var strict in new[] { false, true })
        {
            var allowed = Allowed(role, phase, step, strict);
            for (var number = 0; number < 256; number++)
            {
                var verdict = SshMessageRules.Check(role, phase, step, strict, (byte)number);
                var expected = allowed.Contains(number) ? SshMessageVerdict.Accept
                    : phase == SshPhase.Connected && step == SshKexStep.Idle ? AfterAuthentication(role, number)
                    : SshMessageVerdict.Violation;
                Assert.True(verdict == expected, $"{role} {phase} {step} strict={strict} message {number}: {verdict}, expected {expected}");
            }
        }
    }

    /// <summary>L2.</summary>
    [Fact]
    public void Nothing_from_80_on_is_accepted_before_authentication()
    {
        foreach (var role in Enum.GetValues<SshRole>())
        foreach (var step in Enum.GetValues<SshKexStep>())
        foreach (var phase in new[] { SshPhase.Identification, SshPhase.KeyExchange, SshPhase.Service, SshPhase.Authentication })
        {
            for (var number = 80; number < 256; number++)
                Assert.Equal(SshMessageVerdict.Violation, SshMessageRules.Check(role, phase, step, false, (byte)number));
        }
    }

    private static SshMessageVerdict AfterAuthentication(SshRole role, int number)
    {
        int[] assigned = [0, 1, 2, 3, 4, 5, 6, 7, 50, 51, 52, 53, 60, 61, 80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100];
        if (number == 50 && role == SshRole.Server)
            return SshMessageVerdict.Ignore; // RFC 4252 §5.3
        if (assigned.Contains(number) || number is >= 20 and <= 79)
            return SshMessageVerdict.Violation;
        return SshMessageVerdict.Unimplemented; // RFC 4253 §11.4
    }

    private static HashSet<int> Allowed(SshRole role, SshPhase phase, SshKexStep step, bool strict)
    {
        var server = role == SshRole.Server;
        HashSet<int> set = [];
        if (phase == SshPhase.Identification)
            return set;
        set.Add(1);
        if (!(strict && phase == SshPhase.KeyExchange))
            set.UnionWith([2, 3, 4]);
        switch (step)
        {
            case SshKexStep.Exchange:
                set.Add(server ? 30 : 31);
                return set;
            case SshKexStep.NewKeys:
                set.Add(21);
                return set;
        }

        set.Add(20);
        if (phase == SshPhase.Service)
            set.UnionWith(server ? [5, 7] : [6, 7]);
        if (phase == SshPhase.Authentication)
            set.UnionWith(server ? [50] : [7, 51, 52, 53, 60]);
        if (phase == SshPhase.Connected)
            set.UnionWith([80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
        return set;
    }
}
