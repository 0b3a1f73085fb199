using System.Reflection;
using System.Text;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;
using Relay.Grains;
using Relay.GrainHost.Serialization;
using Relay.TestKit;
using Xunit;

namespace Relay.Tests.Grains;

/// <summary>
/// What silos of different versions say to each other is written down in src/Relay.Grains/Contracts.txt. A change there is a
/// change of the wire: additions are safe, everything else breaks a grid that is being upgraded.
/// </summary>
public sealed class ContractTests
{
    private static readonly Assembly s_grains = typeof(RelayGrainsServiceCollectionExtensions).Assembly;

    [Fact]
    public void The_contract_list_is_what_the_code_says()
    {
        var path = Path.Combine(RepositoryRoot.Path, "src", "Relay.Grains", "Contracts.txt");
        var actual = Describe();
        var recorded = File.Exists(path) ? File.ReadAllText(path) : "";
        if (actual == recorded) return;
        var copy = Path.Combine(RepositoryRoot.Path, ".artifacts", "Contracts.txt");
        File.WriteAllText(copy, actual);
        Assert.Fail($"The grain contracts have changed. If that is meant, copy {copy} to {path}. Now:\n{actual}");
    }

    [Fact]
    public void Every_message_has_a_serializer_an_alias_and_ids()
    {
        foreach (var type in Messages())
        {
            Assert.True(type.IsDefined(typeof(GenerateSerializerAttribute), false), $"{type} has no [GenerateSerializer]");
            Assert.True(type.IsDefined(typeof(AliasAttribute), false), $"{type} has no [Alias]");
            if (type.IsEnum) continue;
            var properties = type.GetProperties(BindingFlags.Instance | BindingFlags.Public).Where(p => p.CanWrite).ToArray();
            Assert.NotEmpty(properties);
            Assert.All(properties, p => Assert.True(p.IsDefined(typeof(IdAttribute)), $"{type}.{p.Name} has no [Id]"));
            Assert.True(type.IsDefined(typeof(ImmutableAttribute), false), $"{type} is not [Immutable]");
        }
    }

    [Fact]
    public void Every_interface_and_method_has_an_alias_and_every_method_a_deadline()
    {
        foreach (var type in Interfaces())
        {
            Assert.True(type.IsDefined(typeof(AliasAttribute), false), $"{type} has no [Alias]");
            foreach (var method in type.GetMethods().Where(m => m.IsAbstract))
            {
                Assert.True(method.IsDefined(typeof(AliasAttribute)), $"{type}.{method.Name} has no [Alias]");
                Assert.True(method.IsDefined(typeof(ResponseTimeoutAttribute)), $"{type}.{method.Name} has no [ResponseTimeout]");
                Assert.Equal(typeof(CancellationToken), method.GetParameters()[^1].ParameterType);
            }
        }
    }

    [Fact]
    public void Grain_classes_are_internal_sealed_and_named_on_the_wire()
    {
        var classes = s_grains.GetTypes().Where(t => t is { IsClass: true, IsAbstract: false } && typeof(IGrainBase).IsAssignableFrom(t)).ToArray();
        Assert.NotEmpty(classes);
        Assert.All(classes, type => Assert.True(!type.IsPublic && type.IsSealed && type.IsDefined(typeof(GrainTypeAttribute), false), type.FullName));
    }

    private static IEnumerable<Type> Interfaces() => s_grains.GetTypes()
        .Where(t => t.IsInterface && typeof(IAddressable).IsAssignableFrom(t)).OrderBy(AliasOf, StringComparer.Ordinal);

    /// <summary>What is marked, and what the methods mention.</summary>
    private static IEnumerable<Type> Messages() => Interfaces().SelectMany(t => t.GetMethods().Where(m => m.IsAbstract))
        .SelectMany(m => m.GetParameters().Select(p => p.ParameterType).Append(m.ReturnType))
        .SelectMany(Parts)
        .Concat(s_grains.GetTypes().Where(t => t.IsDefined(typeof(GenerateSerializerAttribute), false)))
        .Where(t => t.Assembly == s_grains && !typeof(IAddressable).IsAssignableFrom(t))
        .Distinct()
        .OrderBy(AliasOf, StringComparer.Ordinal);

    private static IEnumerable<Type> Parts(Type type) => type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts) : [type];

    private static string AliasOf(Type type) => type.GetCustomAttributes<AliasAttribute>(false).FirstOrDefault()?.Alias ?? type.FullName!;

    private static string Describe()
    {
        var text = new StringBuilder("# Written by ContractTests: what grain calls look like on the wire.\n");
        foreach (var type in Interfaces())
        {
            text.Append('\n').Append(typeof(IGrainObserver).IsAssignableFrom(type) ? "observer " : "grain ").Append(AliasOf(type)).Append('\n');
            foreach (var method in type.GetMethods().Where(m => m.IsAbstract).OrderBy(AliasOfMethod, StringComparer.Ordinal))
            {
                var parameters = method.GetParameters().Where(p => p.ParameterType != typeof(CancellationToken)).Select(p => Name(p.ParameterType));
                text.Append("  ").Append(AliasOfMethod(method)).Append('(').AppendJoin(", ", parameters).Append(") -> ").Append(Name(method.ReturnType));
                if (method.IsDefined(typeof(AlwaysInterleaveAttribute))) text.Append(" interleaves");
                if (method.IsDefined(typeof(ReadOnlyAttribute))) text.Append(" read-only");
                if (method.IsDefined(typeof(OneWayAttribute))) text.Append(" one-way");
                text.Append(" within ").Append(method.GetCustomAttribute<ResponseTimeoutAttribute>()!.Timeout).Append('\n');
            }
        }

        foreach (var type in Messages())
        {
            text.Append('\n').Append(type.IsEnum ? "enum " : "message ").Append(AliasOf(type)).Append('\n');
            if (type.IsEnum)
            {
                foreach (var name in Enum.GetNames(type)) text.Append("  ").Append(Convert.ToInt64(Enum.Parse(type, name), null)).Append(' ').Append(name).Append('\n');
                continue;
            }

            foreach (var member in TypeMembers.Of(type)) text.Append("  ").Append(member.Key >> 1).Append((member.Key & 1) == 1 ? "' " : " ").Append(member.Member.Name).Append(": ").Append(Name(member.Type)).Append('\n');
        }

        return text.ToString();
    }

    private static string AliasOfMethod(MethodInfo method) => method.GetCustomAttributes<AliasAttribute>(false).First().Alias;

    private static string Name(Type type)
    {
        if (!type.IsGenericType) return type.Assembly == s_grains ? AliasOf(type) : type.Name;
        return $"{type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>";
    }
}
