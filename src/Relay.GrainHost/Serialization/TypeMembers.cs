using System.Reflection;
using Orleans;

namespace Relay.GrainHost.Serialization;

/// <summary>A member that travels.</summary>
internal sealed record TypeMember(uint Key, MemberInfo Member, Type Type);

/// <summary>
/// Which members of a type travel, and under which number, as the Orleans model has it: members with <c>[Id]</c>; and, in a
/// record or where asked for, primary constructor parameters without it, numbered by their own <c>[Id]</c> or position in a
/// number space of their own. Stricter than the model in one point: a base type and a derived one share both spaces.
/// </summary>
internal static class TypeMembers
{
    private const BindingFlags Declared = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    /// <summary>In the order of their keys.</summary>
    /// <exception cref="NotSupportedException">A number is used twice or too high, or a member cannot be set.</exception>
    public static IReadOnlyList<TypeMember> Of(Type type)
    {
        var members = new SortedDictionary<uint, TypeMember>();
        for (var level = type; level is not null && level != typeof(object) && level != typeof(ValueType); level = level.BaseType)
        {
            var constructor = PrimaryConstructor(level);
            foreach (var member in level.GetMembers(Declared))
            {
                if (Describe(type, member, constructor) is not { } found) continue;
                if (!members.TryAdd(found.Key, found))
                    throw new NotSupportedException($"{type}: {member.Name} and {members[found.Key].Member.Name} have the same number.");
            }
        }

        return [.. members.Values];
    }

    /// <summary>The compiler gives each record class a clone method and each record a PrintMembers.</summary>
    public static bool IsRecord(Type type) => type.GetMethod("PrintMembers", Declared, [typeof(System.Text.StringBuilder)]) is not null;

    private static TypeMember? Describe(Type type, MemberInfo member, ParameterInfo[] constructor)
    {
        var (memberType, writable) = member switch
        {
            PropertyInfo property when property.GetIndexParameters().Length == 0 => (property.PropertyType, property.CanWrite && property.CanRead),
            FieldInfo field => (field.FieldType, !field.IsInitOnly),
            _ => (null, false),
        };
        if (memberType is null) return null;
        uint key;
        if (member.GetCustomAttribute<IdAttribute>() is { } id)
        {
            key = Checked(type, member, id.Id) << 1;
        }
        else
        {
            var position = member is PropertyInfo ? Array.FindIndex(constructor, p => p.Name == member.Name && p.ParameterType == memberType) : -1;
            if (position < 0) return null;
            key = (Checked(type, member, constructor[position].GetCustomAttribute<IdAttribute>()?.Id ?? (uint)position) << 1) | 1;
        }

        return writable
            ? new TypeMember(key, member, memberType)
            : throw new NotSupportedException($"{type}.{member.Name} travels but cannot be set: give it an init or set accessor.");
    }

    private static uint Checked(Type type, MemberInfo member, uint id) => id <= WireLimits.MaxId
        ? id
        : throw new NotSupportedException($"{type}.{member.Name}: ids go up to {WireLimits.MaxId}.");

    private static ParameterInfo[] PrimaryConstructor(Type type)
    {
        var asked = type.GetCustomAttribute<GenerateSerializerAttribute>(false)?.IncludePrimaryConstructorParameters is true;
        if (!asked && !IsRecord(type)) return [];
        return type.GetConstructors(Declared)
            .Where(c => !(c.GetParameters() is [var only] && only.ParameterType == type))
            .OrderByDescending(c => c.GetParameters().Length)
            .FirstOrDefault()?.GetParameters() ?? [];
    }
}
